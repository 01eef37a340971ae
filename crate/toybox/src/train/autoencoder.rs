//! Stage one: the autoencoder.

use std::{path::Path, time::Instant};

use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor};
use flagdit::{
    decode::vae::{AutoencoderKl, VaeConfig},
    weights::params::Params,
};

use super::{
    batches::{self, Batch},
    checkpoint::{self, Counters},
    curve,
    optimizer::AdamW,
    parallel::{gradients, split},
    recipe::Recipe,
    schedule::learning_rate,
};

/// Steps between two points of the curve.
const REPORT: u64 = 20;
/// Steps between two checkpoints.
const SAVE: u64 = 200;

/// Trains until the recipe's pictures are seen or `minutes` are over; resumes from `folder`.
pub fn train(recipe: &Recipe, folder: &Path, device: &Device, minutes: f64) -> Result<()> {
    let path = folder.join("autoencoder.safetensors");
    device.seed(recipe.seed);
    let (params, mut adam, mut counters) = if path.exists() {
        checkpoint::load(&path, device)?
    } else {
        (Params::random(device), AdamW::default(), Counters::default())
    };
    let mut model = AutoencoderKl::new(&recipe.vae, &params)?;
    let stage = &recipe.autoencoder;
    let batches = batches::stream(stage, recipe.seed, counters.pictures, 1.0);
    let (start, before) = (Instant::now(), counters.seconds);
    let mut losses = Vec::new();
    while counters.pictures < stage.pictures && start.elapsed().as_secs_f64() < minutes * 60.0 {
        let batch = batches.recv()?;
        let parts = parts(&batch, &model, device);
        let (loss, gradients) = gradients(&model, device, parts, |model, part| loss(model, part, recipe.kl_weight));
        losses.push(loss);
        let rate = learning_rate(stage, counters.pictures);
        model = adam.step(model, gradients, rate, stage.weight_decay, recipe.ema);
        counters.pictures += batch.size.0 as u64;
        counters.steps += 1;
        counters.seconds = before + start.elapsed().as_secs_f64();
        if counters.steps.is_multiple_of(REPORT) {
            let loss = losses.drain(..).sum::<f64>() / REPORT as f64;
            let point = curve::Point { pictures: counters.pictures, loss, rate, seconds: counters.seconds };
            curve::append(&folder.join("autoencoder.csv"), point)?;
            println!("autoencoder: {} pictures, loss {loss:.4}, {:.0} s", counters.pictures, counters.seconds);
        }
        if counters.steps.is_multiple_of(SAVE) {
            checkpoint::save(&path, &model, &adam, counters)?;
        }
    }
    checkpoint::save(&path, &model, &adam, counters)?;
    curve::draw(&folder.join("autoencoder.csv"), &folder.join("autoencoder.png"))
}

/// Pictures and noise for their latents.
struct Part {
    pictures: Tensor<4>,
    noise: Tensor<4>,
}

fn parts(batch: &Batch, model: &AutoencoderKl, device: &Device) -> Vec<(f64, Part)> {
    let pictures = batch.pictures(device);
    let (count, width, height) = batch.size;
    let factor = model.factor();
    let latent = [count, model.latent_channels(), height / factor, width / factor];
    let noise = Tensor::random(latent, Distribution::Normal(0.0, 1.0), device);
    let part = |(start, length, share)| {
        let cut = |tensor: &Tensor<4>| tensor.clone().narrow(0, start, length);
        (share, Part { pictures: cut(&pictures), noise: cut(&noise) })
    };
    split(count).into_iter().map(part).collect()
}

/// Mean absolute and mean squared error of the pixels, and the divergence of the latents from a unit normal.
fn loss(model: &AutoencoderKl, part: Part, kl_weight: f64) -> Tensor<1> {
    let (mean, log_variance) = model.moments(part.pictures.clone());
    let latent = mean.clone() + (log_variance.clone() * 0.5).exp() * part.noise;
    let error = model.decode_unscaled(latent) - part.pictures;
    let kl = (mean.clone() * mean + log_variance.clone().exp() - log_variance - 1.0) * 0.5;
    error.clone().abs().mean() + (error.clone() * error).mean() + kl.mean() * kl_weight
}

/// The trained autoencoder, averaged weights, with the scale and shift that make its latents unit normal.
pub fn trained(recipe: &Recipe, folder: &Path, device: &Device) -> Result<(AutoencoderKl, VaeConfig)> {
    let path = folder.join("autoencoder.safetensors");
    let (_, adam, _) = checkpoint::load(&path, device)?;
    let (params, ..) = checkpoint::load(&path, device)?;
    let model = AutoencoderKl::new(&recipe.vae, &params)?;
    let tensors = checkpoint::averaged(&model, &adam);
    let model = AutoencoderKl::new(&recipe.vae, &Params::from_values(tensors.clone(), device))?;
    let batch = batches::stream(&recipe.flow, recipe.seed, 0, 1.0).recv()?;
    let latents = checkpoint::values(model.moments(batch.pictures(device)).0);
    let count = latents.len() as f64;
    let mean = latents.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = latents.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    let config = VaeConfig { scaling_factor: variance.sqrt().recip(), shift_factor: Some(mean), ..recipe.vae.clone() };
    Ok((AutoencoderKl::new(&config, &Params::from_values(tensors, device))?, config))
}
