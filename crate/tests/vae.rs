//! The autoencoder against diffusers' (fixtures/vae), with new and with old names in its file.

mod support;
#[path = "vae/tiling.rs"]
mod tiling;

use burn::tensor::{Tensor, activation::silu};
use flagdit::decode::vae::{AutoencoderKl, VaeConfig};
use flagdit::weights::upstream;
use support::{Case, Target, golden::json};

/// f32 arithmetic in another order; moments are about 6 in standard deviation.
const MOMENTS: f64 = 2e-4;
/// Pictures are about −1 … 1.
const PICTURE: f64 = 5e-5;
/// A value on either side of an integer.
const PIXEL: f64 = 1.0;

#[test]
fn upstream_is_matched_on_the_cpu() {
    check(&support::cpu());
}

#[test]
fn upstream_is_matched_on_the_gpu() {
    check(&support::software_gpu());
}

fn check(target: &Target) {
    let case = Case::new("vae", target);
    let (config, model) = load(&case, "vae");
    encoder_by_stages(&case, &model);
    decoder_by_stages(&case, &config, &model);
    for i in 0..2 {
        encode(&case, &config, &model, "", i);
        let picture = decode(&case, &model, "", i);
        case.compare(&format!("dec_u8_{i}"), pixels(picture), PIXEL);
    }
    let (config, model) = load(&case, "vae_legacy_names");
    encode(&case, &config, &model, "legacy_", 0);
    decode(&case, &model, "legacy_", 0);
    case.finish();
}

fn load(case: &Case, folder: &str) -> (VaeConfig, AutoencoderKl) {
    let config: VaeConfig =
        serde_json::from_value(json(&format!("vae/{folder}/config.json"))).expect("the fields that diffusers has");
    let weights = format!("vae/{folder}/diffusion_pytorch_model.safetensors");
    let params = support::params(&[weights.as_str()], upstream::autoencoder_kl, case.device());
    let model = AutoencoderKl::new(&config, &params).expect("every tensor has its place");
    (config, model)
}

/// A stored picture in −1 … 1, `[1, 3, H, W]`.
fn picture(case: &Case, prefix: &str, i: usize) -> Tensor<4> {
    case.tensor::<3>(&format!("{prefix}image_{i}")).unsqueeze_dim::<4>(0) * 2.0 - 1.0
}

/// A stored latent, `[1, L, h, w]`.
fn latent(case: &Case, prefix: &str, i: usize) -> Tensor<4> {
    case.tensor::<3>(&format!("{prefix}latent_{i}")).unsqueeze_dim(0)
}

fn encode(case: &Case, config: &VaeConfig, model: &AutoencoderKl, prefix: &str, i: usize) {
    let (mean, log_variance) = model.moments(picture(case, prefix, i));
    case.compare(&format!("{prefix}enc_mean_{i}"), mean, MOMENTS);
    case.compare(&format!("{prefix}enc_logvar_{i}"), log_variance, MOMENTS);
    let scaled = model.encode(picture(case, prefix, i));
    case.compare(&format!("{prefix}enc_mean_{i}"), scaled / config.scaling_factor, MOMENTS);
}

fn decode(case: &Case, model: &AutoencoderKl, prefix: &str, i: usize) -> Tensor<4> {
    let latent = latent(case, prefix, i);
    let [_, _, height, width] = latent.dims();
    let picture = model.decode(latent);
    assert_eq!(picture.dims(), [1, 3, height * model.factor(), width * model.factor()]);
    case.compare(&format!("{prefix}dec_{i}"), picture.clone(), PICTURE);
    picture
}

fn encoder_by_stages(case: &Case, model: &AutoencoderKl) {
    let encoder = &model.encoder;
    let mut x = encoder.conv_in.forward(picture(case, "", 0));
    case.compare("enc0_conv_in", x.clone(), MOMENTS);
    for (i, stage) in encoder.down_blocks.iter().enumerate() {
        x = stage.forward(x);
        if i == 0 {
            case.compare("enc0_down0", x.clone(), MOMENTS);
        }
    }
    let x = encoder.mid_block.forward(x);
    case.compare("enc0_mid", x.clone(), MOMENTS);
    let moments = encoder.conv_out.forward(silu(encoder.conv_norm_out.forward(x)));
    case.compare("enc0_moments_prequant", moments, MOMENTS);
}

fn decoder_by_stages(case: &Case, config: &VaeConfig, model: &AutoencoderKl) {
    let decoder = &model.decoder;
    let x = decoder.conv_in.forward(model.post_quant_conv.forward(latent(case, "", 0) / config.scaling_factor));
    case.compare("dec0_conv_in", x.clone(), MOMENTS);
    let attention = decoder.mid_block.attentions[0].forward(decoder.mid_block.resnets[0].forward(x.clone()));
    case.compare("dec0_mid_attn", attention, MOMENTS);
    let x = decoder.mid_block.forward(x);
    case.compare("dec0_mid", x.clone(), MOMENTS);
    case.compare("dec0_up0", decoder.up_blocks[0].forward(x), MOMENTS);
}

/// As the official demos save pictures: truncated, `[H, W, 3]`.
fn pixels(picture: Tensor<4>) -> Tensor<3> {
    let unit = ((picture + 1.0) / 2.0).clamp(0.0, 1.0);
    (unit * 255.0).floor().squeeze_dim::<3>(0).permute([1, 2, 0])
}
