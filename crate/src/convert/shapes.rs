//! The configuration of an official denoiser, read off the shapes of its tensors: Lumina-T2I's folder holds none but a
//! pickle, and a file alone has nothing beside it.

use crate::{
    error::{Error, Result},
    model::{FlagDitConfig, Variant},
    weights::checkpoint::Checkpoint,
};

/// Every released model has patches of 2 × 2 and these constants, which no shape tells.
const PATCH: usize = 2;
const NORM_EPS: f64 = 1e-5;
/// What the feed-forward width may have been rounded up to, upstream's default first.
const MULTIPLES: [usize; 6] = [256, 128, 64, 32, 512, 1024];

/// The configuration whose network has these tensors.
///
/// # Errors
///
/// `bad-model` if a tensor is missing that tells a part of it, or none fits; then it must be given.
pub(super) fn config(checkpoint: &Checkpoint, variant: Variant) -> Result<FlagDitConfig> {
    let shape = |name: &str| checkpoint.tensor(name).map(|info| &info.shape[..]);
    let unknown = |what: &str| {
        Error::bad_model(format!("denoiser {what}"))
            .expected("tensors that tell it")
            .found("none")
            .remedy("give the configuration with --config")
    };
    let side = |name: &str, axis: usize| shape(name).and_then(|shape| shape.get(axis).copied());
    let need = |name: &str, axis: usize, what: &str| side(name, axis).ok_or_else(|| unknown(what));
    let dim = need("x_embedder.weight", 0, "dim")?;
    let patch_values = need("x_embedder.weight", 1, "in_channels")?;
    let heads = need("layers.0.attention.gate", 0, "n_heads")?;
    let kv_width = need("layers.0.attention.wk.weight", 0, "n_kv_heads")?;
    let ffn = need("layers.0.feed_forward.w1.weight", 0, "multiple_of")?;
    let head_dim = dim.checked_div(heads).filter(|width| *width > 0).ok_or_else(|| unknown("n_heads"))?;
    let layers = (0..).take_while(|i| shape(&format!("layers.{i}.attention.wq.weight")).is_some()).count();
    let mut config = FlagDitConfig {
        variant,
        patch_size: PATCH,
        in_channels: patch_values / (PATCH * PATCH),
        dim,
        n_layers: layers,
        n_heads: heads,
        n_kv_heads: Some(kv_width / head_dim),
        multiple_of: 0,
        ffn_dim_multiplier: None,
        norm_eps: NORM_EPS,
        learn_sigma: side("final_layer.linear.weight", 0) == Some(2 * patch_values),
        qk_norm: shape("layers.0.attention.q_norm.weight").is_some(),
        cap_feat_dim: need("layers.0.attention.wk_y.weight", 1, "cap_feat_dim")?,
        num_classes: None,
        rope_axes: None,
        rope_scaling_factor: 1.0,
        ntk_factor: 1.0,
        nextline: shape("eol_token").is_some(),
        nextframe: false,
        frame_phase: false,
        audio: None,
    };
    let fits = |multiple: &usize| FlagDitConfig { multiple_of: *multiple, ..config.clone() }.ffn_dim() == ffn;
    config.multiple_of = MULTIPLES.into_iter().find(fits).ok_or_else(|| unknown("multiple_of"))?;
    Ok(config)
}
