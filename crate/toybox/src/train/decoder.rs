//! Stage three: the decoder alone learns further, for a denoiser that is trained already. The latents stay what they are,
//! so nothing that works in their space has to follow.

use std::{path::Path, sync::mpsc::sync_channel};

use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use flagdit::{decode::vae::AutoencoderKl, weights::params::Params};

use super::{
    autoencoder::{self, drawn, pixel_error},
    batches,
    checkpoint::{self, Counters, values},
    optimizer::Optimizer,
    parallel::{gradients, renderers, split},
    progress::{Limit, Progress},
    recipe::Recipe,
};

/// The whole autoencoder, its decoder as far as it learnt.
pub const CHECKPOINT: &str = "decoder.safetensors";
/// Weight of the error of neighbouring pixels' differences against the error of the pixels: what makes an edge sharp.
const EDGES: f64 = 1.0;

/// Trains until the recipe's pictures are seen or its `limit` is reached; resumes from `folder`.
pub fn train(recipe: &Recipe, folder: &Path, device: &Device, limit: Limit) -> Result<()> {
    let path = folder.join(CHECKPOINT);
    let plain = device.clone().without_autodiff();
    device.seed(recipe.seed);
    let (encoder, config) = autoencoder::trained(recipe, folder, &plain)?;
    let (params, mut optimizer, counters) = if path.exists() {
        checkpoint::load(&path, device)?
    } else {
        let tensors = checkpoint::parameters(&encoder);
        (Params::from_values(tensors, device), Optimizer::default(), Counters::default())
    };
    let mut model = AutoencoderKl::new(&config, &params)?;
    let stage = &recipe.decoder;
    let mut pictures = batches::stream(recipe, stage, counters.pictures, 1.0, renderers(device), |batch| batch);
    let (sender, parts) = sync_channel(1);
    let tracked = device.clone();
    std::thread::spawn(move || {
        while let Ok(batch) = pictures.recv() {
            if sender.send(encode(&encoder, batch.tensor(&plain), &tracked)).is_err() {
                return; // the training is over
            }
        }
    });
    let mut progress = Progress::new("decoder", folder.to_owned(), counters, limit)?;
    while progress.goes_on(stage) {
        let parts: Vec<(f64, Part)> = parts.recv()?;
        let (loss, gradients) = gradients(&model, device, parts, loss);
        let options = progress.options(stage, recipe.ema);
        model = optimizer.step(model, gradients, options);
        if progress.step(stage.batch, "pictures", loss, options.rate)? {
            checkpoint::save(&path, &model, &optimizer, progress.counters)?;
        }
    }
    progress.end()?;
    checkpoint::save(&path, &model, &optimizer, progress.counters)
}

/// Pictures and their latents.
struct Part {
    pictures: Tensor<4>,
    latents: Tensor<4>,
}

/// Latents as the encoder draws them, on the device that learns.
fn encode(encoder: &AutoencoderKl, pictures: Tensor<4>, device: &Device) -> Vec<(f64, Part)> {
    let (mean, log_variance) = encoder.moments(pictures.clone());
    let noise = Tensor::random(mean.dims(), Distribution::Normal(0.0, 1.0), &mean.device());
    let latents = drawn(mean, log_variance, noise);
    let part = |(start, length, share)| {
        let cut = |tensor: &Tensor<4>| {
            let tensor = tensor.clone().narrow(0, start, length);
            let shape = tensor.dims();
            Tensor::from_data(TensorData::new(values(tensor), shape), device)
        };
        (share, Part { pictures: cut(&pictures), latents: cut(&latents) })
    };
    split(pictures.dims()[0], device).into_iter().map(part).collect()
}

/// Mean absolute and squared error of the pixels, those far from the mean colour counting more, and the mean absolute
/// error of the differences between neighbours.
fn loss(model: &AutoencoderKl, part: Part) -> Tensor<1> {
    let error = model.decode_unscaled(part.latents) - part.pictures.clone();
    let [_, _, height, width] = error.dims();
    let edges = |axis: usize, length: usize| {
        let [first, second] = [0, 1].map(|start| error.clone().narrow(axis, start, length - 1));
        (second - first).abs().mean()
    };
    let edges = edges(2, height) + edges(3, width);
    pixel_error(error, part.pictures) + edges * EDGES
}
