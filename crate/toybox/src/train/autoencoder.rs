//! Stage one: the autoencoder.

use std::{fs, path::Path};

use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor};
use flagdit::{
    decode::vae::{AutoencoderKl, VaeConfig},
    weights::params::Params,
};

use super::{
    batches::{self, Batch},
    checkpoint::{self, Counters},
    decoder,
    optimizer::Optimizer,
    parallel::{gradients, renderers, split},
    progress::{Limit, Progress},
    recipe::Recipe,
};

/// The trained autoencoder's configuration, beside its checkpoint.
pub const MEASURED: &str = "autoencoder.json";
/// The extra weight of a pixel that is one unit (half the range) away from the mean colour.
const SALIENCE: f64 = 8.0;

/// Trains until the recipe's pictures are seen or its `limit` is reached; resumes from `folder`. True if it is whole; it is
/// left alone once a denoiser works in its latent space.
pub fn train(recipe: &Recipe, folder: &Path, device: &Device, limit: Limit) -> Result<bool> {
    let path = folder.join("autoencoder.safetensors");
    device.seed(recipe.seed);
    let (params, mut optimizer, counters) = if path.exists() {
        checkpoint::load(&path, device)?
    } else {
        (Params::random(device), Optimizer::default(), Counters::default())
    };
    if folder.join(MEASURED).exists() {
        return Ok(true);
    }
    let mut model = AutoencoderKl::new(&recipe.vae, &params)?;
    let stage = &recipe.autoencoder;
    let mut batches = batches::stream(recipe, stage, counters.pictures, 1.0, renderers(device), |batch| batch);
    let mut progress = Progress::new("autoencoder", folder.to_owned(), counters, limit)?;
    while progress.goes_on(stage) {
        let batch = batches.recv()?;
        let parts = parts(&batch, &model, device);
        let (loss, gradients) = gradients(&model, device, parts, |model, part| loss(model, part, recipe.kl_weight));
        let options = progress.options(stage, recipe.ema);
        model = optimizer.step(model, gradients, options);
        if progress.step(stage.batch, "pictures", loss, options.rate)? {
            checkpoint::save(&path, &model, &optimizer, progress.counters)?;
        }
    }
    progress.end()?;
    checkpoint::save(&path, &model, &optimizer, progress.counters)?;
    Ok(progress.counters.pictures >= stage.pictures)
}

/// Pictures and noise for their latents.
struct Part {
    pictures: Tensor<4>,
    noise: Tensor<4>,
}

fn parts(batch: &Batch, model: &AutoencoderKl, device: &Device) -> Vec<(f64, Part)> {
    let pictures = batch.tensor(device);
    let [count, _, height, width] = pictures.dims();
    let factor = model.factor();
    let latent = [count, model.latent_channels(), height / factor, width / factor];
    let noise = Tensor::random(latent, Distribution::Normal(0.0, 1.0), device);
    let part = |(start, length, share)| {
        let cut = |tensor: &Tensor<4>| tensor.clone().narrow(0, start, length);
        (share, Part { pictures: cut(&pictures), noise: cut(&noise) })
    };
    split(count, device).into_iter().map(part).collect()
}

/// Mean absolute and mean squared error of the pixels, and the divergence of the latents from a unit normal.
fn loss(model: &AutoencoderKl, part: Part, kl_weight: f64) -> Tensor<1> {
    let (mean, log_variance) = model.moments(part.pictures.clone());
    let latent = drawn(mean.clone(), log_variance.clone(), part.noise);
    let error = model.decode_unscaled(latent) - part.pictures.clone();
    let kl = (mean.clone() * mean + log_variance.clone().exp() - log_variance - 1.0) * 0.5;
    pixel_error(error, part.pictures) + kl.mean() * kl_weight
}

/// A latent of the encoder's distribution, by unit normal `noise`.
pub(super) fn drawn(mean: Tensor<4>, log_variance: Tensor<4>, noise: Tensor<4>) -> Tensor<4> {
    mean + (log_variance * 0.5).exp() * noise
}

/// Mean absolute and mean squared error of the pixels, those far from the mean colour counting more.
pub(super) fn pixel_error(error: Tensor<4>, pictures: Tensor<4>) -> Tensor<1> {
    ((error.clone().abs() + error.clone() * error) * salience(pictures)).mean()
}

/// How much a pixel counts, `[B, 1, H, W]`, one on average: the more, the farther it is from the picture's mean colour.
/// Objects cover a tenth of a picture; counted alike, their colours are learned long after the backgrounds'.
fn salience(pictures: Tensor<4>) -> Tensor<4> {
    let away = (pictures.clone() - pictures.mean_dim(3).mean_dim(2)).abs().mean_dim(1); // [B, 1, H, W]
    let weight = away * SALIENCE + 1.0;
    weight.clone() / weight.mean_dim(3).mean_dim(2)
}

/// The trained autoencoder, averaged weights, with the scale and shift that make its latents unit normal. These are
/// measured once and kept with the run: what the denoiser was trained on must not depend on a later batch. A decoder that
/// learnt further takes the place of its own.
pub fn trained(recipe: &Recipe, folder: &Path, device: &Device) -> Result<(AutoencoderKl, VaeConfig)> {
    let path = [decoder::CHECKPOINT, "autoencoder.safetensors"].map(|file| folder.join(file));
    let path = path.iter().find(|path| path.exists()).unwrap_or(&path[1]);
    let (params, optimizer, _) = checkpoint::load(path, device)?;
    let tensors = checkpoint::averaged(&AutoencoderKl::new(&recipe.vae, &params)?, &optimizer);
    let model = |config: &VaeConfig| AutoencoderKl::new(config, &Params::from_values(tensors.clone(), device));
    let measured = folder.join(MEASURED);
    let config = if measured.exists() {
        serde_json::from_slice(&fs::read(&measured)?)?
    } else {
        let config = measure(&model(&recipe.vae)?, recipe, device)?;
        fs::write(&measured, serde_json::to_string_pretty(&config)?)?;
        config
    };
    Ok((model(&config)?, config))
}

/// The configuration with the scale and shift of the latents of one batch.
fn measure(model: &AutoencoderKl, recipe: &Recipe, device: &Device) -> Result<VaeConfig> {
    let batch = batches::stream(recipe, &recipe.autoencoder, 0, 1.0, 1, |batch| batch).recv()?;
    let latents = checkpoint::values(model.moments(batch.tensor(device)).0);
    let count = latents.len() as f64;
    let mean = latents.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = latents.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    Ok(VaeConfig { scaling_factor: variance.sqrt().recip(), shift_factor: Some(mean), ..recipe.vae.clone() })
}
