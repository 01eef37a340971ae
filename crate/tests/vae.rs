//! The autoencoder against diffusers' (fixtures/vae), with new and with old names in its file.

mod support;
#[path = "vae/tiling.rs"]
mod tiling;

use flagdit::check::{Comparing, autoencoder};
use flagdit::decode::vae::{AutoencoderKl, VaeConfig};
use flagdit::weights::upstream;
use support::{Target, golden::json, verify};

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
    let reference = support::reference("vae");
    for (folder, compared) in [("vae", 16), ("vae_legacy_names", 3)] {
        let (config, model) = load(folder, target);
        assert_eq!(model.factor(), 1 << (config.block_out_channels.len() - 1));

        let comparing = Comparing::new(&reference, &target.device);
        autoencoder::check(&comparing, &model, &config).expect("a reference of this model");
        let report = comparing.finish(true);
        // Neither autoencoder may be taken for the other.
        assert_eq!(report.comparisons.len(), compared, "{folder}");
        let tolerance = |name: &str| match name {
            _ if name.contains("dec_u8") => PIXEL,
            _ if name.contains("dec_") => PICTURE,
            _ => MOMENTS,
        };
        verify("vae", target, &report, tolerance);
    }
}

/// One of the fixture's autoencoders with its configuration.
fn load(folder: &str, target: &Target) -> (VaeConfig, AutoencoderKl) {
    let config: VaeConfig =
        serde_json::from_value(json(&format!("vae/{folder}/config.json"))).expect("the fields that diffusers has");
    let weights = format!("vae/{folder}/diffusion_pytorch_model.safetensors");
    let params = support::params(&[weights.as_str()], upstream::autoencoder_kl, &target.device);
    let model = AutoencoderKl::new(&config, &params).expect("every tensor has its place");
    (config, model)
}

/// What the denoiser works on is the scaled mean, and back.
#[test]
fn latents_are_scaled_both_ways() {
    let target = support::cpu();
    let (config, model) = load("vae", &target);
    let reference = support::reference("vae");
    let comparing = Comparing::new(&reference, &target.device);
    let picture = comparing.input::<3>("image_0", [None; 3]).expect("a picture").unsqueeze_dim::<4>(0) * 2.0 - 1.0;
    comparing.compare("enc_mean_0", model.encode(picture) / config.scaling_factor).expect("the same shape");
    let latent = comparing.input::<3>("latent_0", [None; 3]).expect("a latent").unsqueeze_dim::<4>(0);
    comparing.compare("dec_0", model.decode_unscaled(latent / config.scaling_factor)).expect("the same shape");
    verify("vae", &target, &comparing.finish(false), |_| MOMENTS);
}
