//! Encoded pictures with their captions: some of every batch fresh, the others drawn from the last ones seen.
//!
//! Rendering is cheap and encoding is not; a latent that comes again meets another noise, another time, and
//! perhaps another part of the batch.

use std::{collections::HashMap, sync::mpsc::Receiver};

use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use flagdit::{decode::vae::AutoencoderKl, request::Kind};

use super::{batches::Batch, checkpoint::values, recipe::Bucket};
use crate::world::Rng;

/// Values of one bucket's latents that are kept: half a gigabyte.
const KEPT: usize = 1 << 27;
/// However small they are, no more latents than these.
const MOST: usize = 16_384;

/// A latent (`[L, F·h, w]`, or a spectrogram), flat, and its caption.
#[derive(Clone)]
struct Pair {
    latent: Vec<f32>,
    caption: String,
}

/// Latents of one bucket with captions.
pub struct LatentBatch {
    /// The bucket's place in its stage.
    pub bucket: usize,
    /// `[B, L, F·h, w]`; of sound `[B, 1, bands, T]`.
    pub latents: Tensor<4>,
    /// One a picture.
    pub captions: Vec<String>,
}

/// Encodes and keeps.
pub struct Latents {
    vae: AutoencoderKl,
    plain: Device,
    batches: Receiver<Batch>,
    buckets: Vec<Bucket>,
    kept: HashMap<usize, Vec<Pair>>,
    fresh: f32,
    rng: Rng,
}

impl Latents {
    /// From rendered `batches` of `buckets`, which hold `fresh` of a full batch each; `vae` is on a device without
    /// autodiff.
    pub fn new(
        vae: AutoencoderKl,
        plain: Device,
        batches: Receiver<Batch>,
        buckets: Vec<Bucket>,
        fresh: f32,
        rng: Rng,
    ) -> Self {
        Self { vae, plain, batches, buckets, kept: HashMap::new(), fresh, rng }
    }

    /// The next full batch, its latents on `device`.
    pub fn next(&mut self, device: &Device) -> Result<LatentBatch> {
        let batch = self.batches.recv()?;
        let fresh = batch.captions.len();
        let encoded = self.encode(&batch); // [fresh, L, F·h, w]
        let [_, channels, rows, cols] = encoded.dims();
        let length = channels * rows * cols;
        let encoded = values(encoded);
        let pairs = encoded.chunks_exact(length).zip(batch.captions);
        let mut chosen: Vec<Pair> = pairs.map(|(latent, caption)| Pair { latent: latent.to_vec(), caption }).collect();
        let kept = self.kept.entry(batch.bucket).or_default();
        let most = (KEPT / length).clamp(1, MOST);
        for pair in &chosen {
            if kept.len() < most {
                kept.push(pair.clone());
            } else {
                let place = self.rng.below(most);
                kept[place] = pair.clone();
            }
        }
        let full = ((fresh as f32 / self.fresh).round() as usize).max(fresh);
        while chosen.len() < full {
            chosen.push(kept[self.rng.below(kept.len())].clone());
        }
        let flat: Vec<f32> = chosen.iter().flat_map(|pair| pair.latent.iter().copied()).collect();
        let latents = Tensor::from_data(TensorData::new(flat, [chosen.len(), channels, rows, cols]), device);
        let captions = chosen.into_iter().map(|pair| pair.caption).collect();
        Ok(LatentBatch { bucket: batch.bucket, latents, captions })
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
