//! Encoded pictures with their captions: some of every batch fresh, the others drawn from the last ones seen.
//!
//! Rendering and encoding cost more than a step that needs neither; a latent that comes again meets another noise, another
//! time, and other parts of a batch. What came fresh together stays together: a batch is a fresh part and some former ones,
//! drawn whole. So nothing has to leave the device, and few copies are made there.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc::sync_channel},
    thread,
};

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use flagdit::{decode::vae::AutoencoderKl, request::Kind};

use super::{
    autoencoder,
    batches::{self, Batch, Batches},
    checkpoint::Counters,
    parallel::{is_gpu, renderers},
    recipe::{Bucket, Recipe},
};
use crate::{tokenizer::CaptionTokenizer, world::Rng};

/// Values of one bucket's latents that are kept: half a gigabyte.
const KEPT: usize = 1 << 27;
/// However small they are, no more latents than these.
const MOST: usize = 16_384;

/// Latents of one bucket with captions.
#[derive(Clone)]
pub struct LatentBatch {
    /// The bucket's place in its stage.
    pub bucket: usize,
    /// `[B, L, F·h, w]`; of sound `[B, 1, bands, T]`. On the plain device.
    pub latents: Tensor<4>,
    /// The ids of each sample's caption.
    pub captions: Vec<Vec<u32>>,
}

/// Rendered samples, and the ids of their captions.
type Rendered = (Batch, Result<Vec<Vec<u32>>>);

/// Encodes and keeps.
struct Latents {
    vae: AutoencoderKl,
    plain: Device,
    batches: Batches<Rendered>,
    buckets: Vec<Bucket>,
    kept: HashMap<usize, Vec<LatentBatch>>,
    fresh: f32,
    rng: Rng,
}

/// Full batches for the denoiser, without end. On a CPU they are made ahead: encoding is too small a work to fill every core
/// by itself. A GPU takes its kernels from one thread.
pub fn stream(
    recipe: &Recipe,
    folder: &std::path::Path,
    device: &Device,
    counters: Counters,
    tokenizer: Arc<CaptionTokenizer>,
) -> Result<Box<dyn FnMut() -> Result<LatentBatch>>> {
    let plain = device.clone().without_autodiff();
    let (vae, _) = autoencoder::trained(recipe, folder, &plain)?;
    let prepare = move |batch: Batch| {
        let ids = batch.captions.iter().map(|caption| tokenizer.encode(caption)).collect();
        (batch, ids)
    };
    let batches = batches::stream(recipe, &recipe.flow, counters.pictures, recipe.fresh, renderers(device), prepare);
    let rng = Rng::stream(recipe.seed, "latents", counters.pictures);
    let buckets = recipe.flow.buckets.clone();
    let mut latents = Latents { vae, plain, batches, buckets, kept: HashMap::new(), fresh: recipe.fresh, rng };
    if is_gpu(device) {
        return Ok(Box::new(move || latents.next()));
    }
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || while sender.send(latents.next()).is_ok() {});
    Ok(Box::new(move || receiver.recv()?))
}

impl Latents {
    /// The next full batch.
    fn next(&mut self) -> Result<LatentBatch> {
        let (batch, captions) = self.batches.recv()?;
        let fresh = LatentBatch { bucket: batch.bucket, latents: self.encode(&batch), captions: captions? };
        let [count, channels, rows, cols] = fresh.latents.dims();
        let kept = self.kept.entry(fresh.bucket).or_default();
        let most = ((KEPT / (channels * rows * cols)).clamp(1, MOST) / count).max(1);
        let mut chosen = vec![fresh.clone()];
        if kept.len() < most {
            kept.push(fresh);
        } else {
            let place = self.rng.below(most);
            kept[place] = fresh;
        }
        let mut missing = ((count as f32 / self.fresh).round() as usize).saturating_sub(count);
        while missing > 0 {
            let part = kept[self.rng.below(kept.len())].first(missing);
            missing -= part.captions.len();
            chosen.push(part);
        }
        Ok(LatentBatch::cat(chosen))
    }

    /// `[B, L, F·h, w]`: frames are encoded one by one and stand one below the other; a spectrogram is its own latent.
    fn encode(&self, batch: &Batch) -> Tensor<4> {
        let values = batch.tensor(&self.plain);
        let Bucket { kind, frames, .. } = self.buckets[batch.bucket];
        if kind == Kind::Audio {
            return values;
        }
        let latents = self.vae.encode(values); // [B·F, L, h, w]
        let [_, channels, height, width] = latents.dims();
        let count = batch.captions.len();
        let latents: Tensor<5> = latents.reshape([count, frames, channels, height, width]); // [B, F, L, h, w]
        latents.swap_dims(1, 2).reshape([count, channels, frames * height, width]) // [B, L, F·h, w]
    }
}

impl LatentBatch {
    /// No more than `most` of its samples.
    fn first(&self, most: usize) -> Self {
        let count = self.captions.len().min(most);
        Self {
            bucket: self.bucket,
            latents: self.latents.clone().narrow(0, 0, count),
            captions: self.captions[..count].to_vec(),
        }
    }

    fn cat(parts: Vec<Self>) -> Self {
        let bucket = parts[0].bucket;
        let (latents, captions): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.latents, part.captions)).unzip();
        Self { bucket, latents: Tensor::cat(latents, 0), captions: captions.concat() }
    }
}
