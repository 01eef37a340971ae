//! AutoencoderKL, both ways, and its stages.
//!
//! Inputs: `image_<i>` `[3, H, W]` in 0 … 1 and `latent_<i>` `[L, h, w]`, behind `legacy_` where the reference is about two
//! autoencoders: `config.json` has the configuration of each, under `vae` and `vae_legacy_names`, and the one counts that is
//! the model's.
//!
//! | stored | what it is |
//! |---|---|
//! | `enc_mean_<i>`, `enc_logvar_<i>` | of picture i, not scaled |
//! | `dec_<i>`, `dec_u8_<i>` | of latent i: −1 … 1; truncated to 0 … 255, `[H, W, 3]` |
//! | `enc0_conv_in`, `enc0_down0`, `enc0_mid`, `enc0_moments_prequant` | stages of picture 0 |
//! | `dec0_conv_in`, `dec0_mid_attn`, `dec0_mid`, `dec0_up0` | stages of latent 0 |

use burn::tensor::{Tensor, activation::silu};

use super::Comparing;
use crate::{
    decode::vae::{AutoencoderKl, VaeConfig},
    error::{Error, Result},
};

/// The autoencoders of a reference: where their configuration stands, and what stands before their tensors' names.
const KNOWN: [(&str, &str); 2] = [("vae", ""), ("vae_legacy_names", "legacy_")];

/// Compares all that the reference says of an autoencoder.
///
/// # Errors
///
/// `bad-model` if the reference is of another model.
pub fn check(comparing: &Comparing, model: &AutoencoderKl, config: &VaeConfig) -> Result<()> {
    let prefix = prefix(comparing, config)?;
    let name = |what: &str, i: usize| format!("{prefix}{what}_{i}");
    for i in (0..).take_while(|&i| comparing.has(&name("image", i))) {
        let picture = picture(comparing, model, config, &name("image", i))?;
        let (mean, log_variance) = model.moments(picture.clone());
        comparing.compare(&name("enc_mean", i), mean)?;
        comparing.compare(&name("enc_logvar", i), log_variance)?;
        if i == 0 {
            encoder_by_stages(comparing, model, picture, prefix)?;
        }
    }
    for i in (0..).take_while(|&i| comparing.has(&name("latent", i))) {
        let sides = [Some(config.latent_channels), None, None];
        let latent = comparing.input::<3>(&name("latent", i), sides)?.unsqueeze_dim::<4>(0); // [1, L, h, w]
        let decoded = model.decode(latent.clone());
        comparing.compare(&name("dec", i), decoded.clone())?;
        comparing.compare(&name("dec_u8", i), truncated(decoded))?;
        if i == 0 {
            decoder_by_stages(comparing, model, config, latent, prefix)?;
        }
    }
    Ok(())
}

/// What stands before the names of the tensors that are this model's; the other's are passed over.
fn prefix(comparing: &Comparing, config: &VaeConfig) -> Result<&'static str> {
    let read = |key| serde_json::from_value::<VaeConfig>(comparing.reference().call(key).clone()).ok();
    let stated: Vec<_> = KNOWN.into_iter().filter_map(|(key, prefix)| Some((read(key)?, prefix))).collect();
    match stated.iter().find(|(stated, _)| stated == config) {
        Some((_, prefix)) => {
            if stated.len() > 1 {
                comparing.skip(|name| name.starts_with("legacy_") != (*prefix == "legacy_"));
            }
            Ok(prefix)
        }
        None if stated.is_empty() => Ok(""),
        None => Err(Error::bad_model(comparing.reference().name())
            .expected("the configuration of this model's autoencoder")
            .found(format!("{:?}", stated.iter().map(|(stated, _)| &stated.block_out_channels).collect::<Vec<_>>()))
            .remedy("the reference is of another model")),
    }
}

/// A stored picture in −1 … 1, `[1, 3, H, W]`.
fn picture(comparing: &Comparing, model: &AutoencoderKl, config: &VaeConfig, name: &str) -> Result<Tensor<4>> {
    let picture = comparing.input::<3>(name, [Some(config.in_channels), None, None])?;
    let [_, height, width] = picture.dims();
    let factor = model.factor();
    if !height.is_multiple_of(factor) || !width.is_multiple_of(factor) {
        let found = format!("{height} and {width}");
        return Err(comparing.refusal(name).expected(format!("sides in multiples of {factor}")).found(found));
    }
    Ok(picture.unsqueeze_dim::<4>(0) * 2.0 - 1.0)
}

fn encoder_by_stages(comparing: &Comparing, model: &AutoencoderKl, picture: Tensor<4>, prefix: &str) -> Result<()> {
    let encoder = &model.encoder;
    let compare = |name: &str, x: &Tensor<4>| comparing.compare(&format!("{prefix}{name}"), x.clone());
    let mut x = encoder.conv_in.forward(picture);
    compare("enc0_conv_in", &x)?;
    for (i, stage) in encoder.down_blocks.iter().enumerate() {
        x = stage.forward(x);
        compare(&format!("enc0_down{i}"), &x)?;
    }
    let x = encoder.mid_block.forward(x);
    compare("enc0_mid", &x)?;
    compare("enc0_moments_prequant", &encoder.conv_out.forward(silu(encoder.conv_norm_out.forward(x))))
}

fn decoder_by_stages(
    comparing: &Comparing,
    model: &AutoencoderKl,
    config: &VaeConfig,
    latent: Tensor<4>,
    prefix: &str,
) -> Result<()> {
    let decoder = &model.decoder;
    let compare = |name: &str, x: &Tensor<4>| comparing.compare(&format!("{prefix}{name}"), x.clone());
    let unscaled = latent / config.scaling_factor + config.shift_factor.unwrap_or(0.0);
    let x = decoder.conv_in.forward(model.post_quant_conv.forward(unscaled));
    compare("dec0_conv_in", &x)?;
    let middle = &decoder.mid_block;
    if let (Some(resnet), Some(attention)) = (middle.resnets.first(), middle.attentions.first()) {
        compare("dec0_mid_attn", &attention.forward(resnet.forward(x.clone())))?;
    }
    let mut x = middle.forward(x);
    compare("dec0_mid", &x)?;
    for (i, stage) in decoder.up_blocks.iter().enumerate() {
        x = stage.forward(x);
        compare(&format!("dec0_up{i}"), &x)?;
    }
    Ok(())
}

/// As the official demos save pictures, `[1, 3, H, W]` to `[H, W, 3]`.
fn truncated(picture: Tensor<4>) -> Tensor<3> {
    let unit = ((picture + 1.0) / 2.0).clamp(0.0, 1.0);
    (unit * 255.0).floor().squeeze_dim::<3>(0).permute([1, 2, 0])
}
