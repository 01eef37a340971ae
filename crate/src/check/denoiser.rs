//! Flag-DiT and Next-DiT, layer by layer, guided, extrapolated, and sampled from noise to latent.
//!
//! Inputs: `x` `[B, C, H, W]`, `t` `[B]`, `cap_feats` `[B, T, C]` and `cap_mask` `[B, T]`, or labels `y` `[B]`; the same
//! behind a prefix for the calls, `list_x_0` `[C, H, W]`, `list_x_1`, … for pictures of several sizes in one batch.
//!
//! | stored | what it is |
//! |---|---|
//! | `tokens_in`, `t_emb`, `cap_emb`, `adaln_input`, `block<i>_out`, `final_layer_out`, `out_forward` | along `model(x, t, …)` |
//! | `block0_adaLN_out`, `block0_attention_out`, `block0_attention_y_norm_out`, `block0_feed_forward_out` | inside its first block |
//! | `out_list_<i>`, `list_tokens_in`, `list_mask` | several sizes; the batch as it is padded |
//! | `rope_<name>`: one of `rope_tables` in `config.json` | (cosine, sine) of each position and pair |
//! | `out_<name>`: one of `cfg_calls` | `forward_with_cfg`, both halves |
//! | `traj_<name>`: one of `sample_calls` | the conditional rows at every time, `[times, prompts, C, H, W]` |

use burn::tensor::{Tensor, activation::silu};
use serde::Deserialize;

use super::{
    Comparing,
    guided::{CfgCall, Extrapolated, SampleCall},
};
use crate::{
    error::Result,
    model::{Caption, Condition, FlagDit, LatentShape, Sequence, SequenceOptions, block::Block},
    nn::attention::mask_bias,
};

/// What the `rows` rows stored behind `prefix` are conditioned on.
pub(super) fn condition(comparing: &Comparing, model: &FlagDit, prefix: &str, rows: usize) -> Result<Condition> {
    if model.y_embedder.is_some() {
        return Ok(Condition::Labels(comparing.input::<1>(&format!("{prefix}y"), [Some(rows)])?.int()));
    }
    let width = model.config().cap_feat_dim;
    let features = comparing.input::<3>(&format!("{prefix}cap_feats"), [Some(rows), None, Some(width)])?;
    let tokens = features.dims()[1];
    let mask = comparing.input::<2>(&format!("{prefix}cap_mask"), [Some(rows), Some(tokens)])?;
    Ok(Condition::Caption(Caption { features, mask }))
}

/// Compares all that the reference says of a denoiser.
///
/// # Errors
///
/// `bad-model` if the reference is of another model.
pub async fn check(comparing: &Comparing<'_>, model: &FlagDit) -> Result<()> {
    if comparing.has("x") {
        along_the_layers(comparing, model)?;
    }
    if comparing.has("list_x_0") {
        pictures_of_several_sizes(comparing, model)?;
    }
    for (name, table) in comparing.reference().calls::<RopeTable>("rope_tables")? {
        rope_table(comparing, model, &format!("rope_{name}"), &table)?;
    }
    for (name, call) in comparing.reference().calls::<CfgCall>("cfg_calls")? {
        call.compare(comparing, model, &format!("out_{name}"))?;
    }
    for (name, call) in comparing.reference().calls::<SampleCall>("sample_calls")? {
        call.compare(comparing, model, &format!("traj_{name}")).await?;
    }
    Ok(())
}

/// A latent of whole patches, `[B, C, H, W]`.
pub(super) fn latent(comparing: &Comparing, model: &FlagDit, name: &str) -> Result<Tensor<4>> {
    let config = model.config();
    let x = comparing.input::<4>(name, [None, Some(config.in_channels), None, None])?;
    whole_patches(comparing, name, x.dims()[2], x.dims()[3], config.patch_size)?;
    Ok(x)
}

fn whole_patches(comparing: &Comparing, name: &str, height: usize, width: usize, patch: usize) -> Result<()> {
    if height.is_multiple_of(patch) && width.is_multiple_of(patch) {
        return Ok(());
    }
    let found = format!("{height} and {width}");
    Err(comparing.refusal(name).expected(format!("sides in multiples of a patch's {patch}")).found(found))
}

fn along_the_layers(comparing: &Comparing, model: &FlagDit) -> Result<()> {
    let x = latent(comparing, model, "x")?;
    let [rows, _, height, width] = x.dims();
    let t = comparing.input::<1>("t", [Some(rows)])?;
    let condition = condition(comparing, model, "", rows)?;
    let sequence = model.sequence(LatentShape::picture(height, width), SequenceOptions::default(), comparing.device());

    let mut tokens = model.tokens(x.clone(), &sequence);
    comparing.compare("tokens_in", tokens.clone())?;
    comparing.compare("t_emb", model.t_embedder.forward(t.clone()))?;
    let prepared = condition.prepare(model);
    comparing.compare("cap_emb", prepared.pooled.clone())?;
    let conditioning = model.conditioning(t.clone(), &prepared);
    comparing.compare("adaln_input", conditioning.clone())?;
    let conditioning = silu(conditioning);

    if let (Condition::Caption(caption), Some(first)) = (&condition, model.layers.first()) {
        inside_a_block(comparing, first, tokens.clone(), conditioning.clone(), &sequence, caption)?;
    }
    for (i, (layer, keys)) in model.layers.iter().zip(&prepared.keys).enumerate() {
        tokens = layer.forward(tokens, conditioning.clone(), &sequence, keys.as_ref());
        comparing.compare(&format!("block{i}_out"), tokens.clone())?;
    }
    comparing.compare("final_layer_out", model.final_layer.forward(tokens, conditioning))?;
    comparing.compare("out_forward", model.forward_prepared(x, t, &prepared, &sequence))
}

fn inside_a_block(
    comparing: &Comparing,
    block: &Block,
    x: Tensor<3>,
    conditioning: Tensor<2>,
    sequence: &Sequence,
    caption: &Caption,
) -> Result<()> {
    comparing.compare("block0_adaLN_out", block.modulation.linear.forward(conditioning.clone()))?;
    let features = block.attention_y_norm.as_ref().map(|norm| norm.forward(caption.features.clone()));
    if let Some(features) = features.clone() {
        comparing.compare("block0_attention_y_norm_out", features)?;
    }
    let [first, second] = block.adaptive(conditioning);
    let bias = mask_bias(caption.mask.clone());
    let keys = features.and_then(|features| block.attention.caption_keys(features, bias));
    let h = block.attention_norm.modulated(x.clone(), first.enter);
    let attention = block.attention.wo.forward(block.attention.heads(h, sequence, keys.as_ref()));
    comparing.compare("block0_attention_out", attention.clone())?;
    let attention = match &block.attention_post_norm {
        Some(norm) => norm.forward(attention),
        None => attention,
    };
    let h = block.ffn_norm.modulated(x + first.gates.vectors() * attention, second.enter);
    comparing.compare("block0_feed_forward_out", block.feed_forward.forward(h))
}

fn pictures_of_several_sizes(comparing: &Comparing, model: &FlagDit) -> Result<()> {
    let config = model.config();
    let names = (0..).map(|i| format!("list_x_{i}")).take_while(|name| comparing.has(name));
    let read = |name: String| {
        let x = comparing.input::<3>(&name, [Some(config.in_channels), None, None])?;
        whole_patches(comparing, &name, x.dims()[1], x.dims()[2], config.patch_size)?;
        Ok(x)
    };
    let pictures: Vec<Tensor<3>> = names.map(read).collect::<Result<_>>()?;
    let t = comparing.input::<1>("list_t", [Some(pictures.len())])?;
    let condition = condition(comparing, model, "list_", pictures.len())?;
    let (tokens, mask, _) = model.batch(&pictures);
    comparing.compare("list_tokens_in", tokens)?;
    comparing.compare("list_mask", mask)?;
    let out = model.forward_list(&pictures, t, &condition.prepare(model));
    out.into_iter().enumerate().try_for_each(|(i, picture)| comparing.compare(&format!("out_list_{i}"), picture))
}

/// One of `rope_tables`.
#[derive(Deserialize)]
struct RopeTable {
    timestep: Option<f64>,
    #[serde(flatten)]
    options: Extrapolated,
}

/// Upstream has one (cosine, sine) a pair of features, we have one a feature.
fn rope_table(comparing: &Comparing, model: &FlagDit, name: &str, table: &RopeTable) -> Result<()> {
    if !comparing.has(name) {
        return Ok(());
    }
    let shape = &comparing.stored(name)?.shape;
    let patch = model.config().patch_size;
    // Flag-DiT's is [tokens, pairs, 2], Next-DiT's [rows, cols, pairs, 2].
    let (rows, cols) = match **shape {
        // One row and its [nextline].
        [tokens, _, _] if tokens > 1 => (1, tokens - usize::from(model.config().nextline)),
        [rows, cols, ..] if shape.len() == 4 && rows > 0 && cols > 0 => (rows, cols),
        _ => {
            return Err(comparing
                .refusal(name)
                .expected("[tokens, pairs, 2] or [rows, cols, pairs, 2]")
                .found(format!("{shape:?}")));
        }
    };
    let latent = LatentShape::picture(rows * patch, cols * patch);
    let sequence = model.sequence(latent, table.options.sequence(), comparing.device());
    let (tokens, pairs) = (sequence.layout.tokens(), model.config().head_dim() / 2);
    let (cos, sin) = sequence.at(table.timestep.unwrap_or(0.0)).rope.tables();
    // Both features of a pair turn by the same angle.
    let of_pairs = |table: Tensor<4>| table.reshape([tokens, pairs, 2]).narrow(2, 0, 1); // [N, pairs, 1]
    let found = Tensor::cat(vec![of_pairs(cos), of_pairs(sin)], 2); // [N, pairs, 2]
    match shape.len() {
        4 => comparing.compare(name, found.reshape([rows, cols, pairs, 2])), // [R, C, pairs, 2]
        _ => comparing.compare(name, found),
    }
}
