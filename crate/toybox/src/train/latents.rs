//! Encoded pictures with their captions: some of every batch fresh, the others drawn from the last ones seen.
//!
//! Rendering is cheap and encoding is not; a latent that comes again meets another noise, another time, and
//! perhaps another part of the batch.

use std::{collections::HashMap, sync::mpsc::Receiver};

use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use flagdit::decode::vae::AutoencoderKl;

use super::{batches::Batch, checkpoint::values};
use crate::world::Rng;

/// Latents of one size that are kept.
const KEPT: usize = 16_384;

/// A latent `[L, h, w]`, flat, and its caption.
#[derive(Clone)]
struct Pair {
    latent: Vec<f32>,
    caption: String,
}

/// Latents of one size with captions.
pub struct LatentBatch {
    /// `[B, L, h, w]`.
    pub latents: Tensor<4>,
    /// One a picture.
    pub captions: Vec<String>,
}

/// Encodes and keeps.
pub struct Latents {
    vae: AutoencoderKl,
    plain: Device,
    batches: Receiver<Batch>,
    kept: HashMap<(usize, usize), Vec<Pair>>,
    fresh: f32,
    rng: Rng,
}

impl Latents {
    /// From rendered `batches`, which hold `fresh` of a full batch each; `vae` is on a device without autodiff.
    pub fn new(vae: AutoencoderKl, plain: Device, batches: Receiver<Batch>, fresh: f32, rng: Rng) -> Self {
        Self { vae, plain, batches, kept: HashMap::new(), fresh, rng }
    }

    /// The next full batch, its latents on `device`.
    pub fn next(&mut self, device: &Device) -> Result<LatentBatch> {
        let batch = self.batches.recv()?;
        let (fresh, width, height) = batch.size;
        let encoded = self.vae.encode(batch.pictures(&self.plain)); // [fresh, L, h, w]
        let [_, channels, rows, cols] = encoded.dims();
        let length = channels * rows * cols;
        let encoded = values(encoded);
        let pairs = encoded.chunks_exact(length).zip(batch.captions);
        let mut chosen: Vec<Pair> = pairs.map(|(latent, caption)| Pair { latent: latent.to_vec(), caption }).collect();
        let kept = self.kept.entry((width, height)).or_default();
        for pair in &chosen {
            if kept.len() < KEPT {
                kept.push(pair.clone());
            } else {
                let place = self.rng.below(KEPT);
                kept[place] = pair.clone();
            }
        }
        let full = ((fresh as f32 / self.fresh).round() as usize).max(fresh);
        while chosen.len() < full {
            chosen.push(kept[self.rng.below(kept.len())].clone());
        }
        let flat: Vec<f32> = chosen.iter().flat_map(|pair| pair.latent.iter().copied()).collect();
        let latents = Tensor::from_data(TensorData::new(flat, [chosen.len(), channels, rows, cols]), device);
        Ok(LatentBatch { latents, captions: chosen.into_iter().map(|pair| pair.caption).collect() })
    }
}
