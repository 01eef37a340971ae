//! Decoding by tiles, so that what grows with the picture is only what works at the latent's resolution.
//!
//! A tile is decoded with as much around it as its pixels depend on, and at the picture's border with the same zeros as
//! the whole, so convolutions leave no seam. Group norms would: they go by the mean and the variance of the whole
//! picture. So all tiles share one set of statistics, and are parts of one picture whatever that set is; how near it is
//! to the picture that is decoded at once depends on the statistics alone. They are found in passes:
//!
//! 1. A sample of tiles is decoded as a batch, and each norm goes by the statistics of the batch.
//! 2. All tiles are decoded by these, and the input of each norm is measured over the whole picture.
//! 3. If it is not what the norm went by, the sample is decoded again, and each norm goes by the batch's statistics
//!    corrected by how the whole's were different: what a norm is given changes with the norms before it, and the sample
//!    shows how. With these all tiles are decoded again.
//!
//! A sample alone is not enough. With the autoencoder that ships pixels were off by 10 levels of 255 after the first
//! pass, by 0.7 after the second and by 0.05 after the third.

use burn::tensor::Tensor;

use super::vae::Decoder;
use crate::{
    error::Result,
    nn::norm::{GroupNorm, Moments},
};

mod statistics;
mod tail;
#[cfg(test)]
mod tests;
mod window;

use statistics::{Correction, Sum, distance};
use tail::{Extent, Tail};
use window::{Tile, Window};

/// Bytes of the largest tensor with which a latent of this size is decoded at once, behind the first stage's resnets.
/// `widths` and `resnets` are the stages', the lowest resolution first.
pub(super) fn largest(widths: Vec<usize>, resnets: &[usize], height: usize, width: usize) -> usize {
    Extent::new(widths, resnets).bytes(Window::whole(height, width))
}

/// Tiles of the sample along each axis: many small ones show more of a picture than a few large ones.
const SAMPLE: usize = 4;

/// Statistics are the whole picture's if no mean or standard deviation is off by more than this part of a standard
/// deviation. Pixels were off by up to 240 levels of 255 times it, so by a quarter of a level.
const SAME: f64 = 1e-3;

/// So many passes at most: each leaves about a tenth of the error before it, and the first began with half a standard
/// deviation at worst.
const PASSES: usize = 5;

/// What the decoder makes of latents `[B, L, h, w]`, in tensors of about `most_bytes` above the latent's resolution.
pub(super) async fn decode(
    decoder: &Decoder,
    latent: Tensor<4>,
    most_bytes: usize,
    between: &mut impl AsyncFnMut(),
) -> Result<Tensor<4>> {
    let [batch, _, height, width] = latent.dims();
    let tail = Tail::new(decoder);
    if tail.extent.bytes(Window::whole(height, width)).saturating_mul(batch) <= most_bytes {
        return Ok(decoder.forward(latent));
    }
    let mut pictures = Vec::with_capacity(batch);
    for i in 0..batch {
        let features = decoder.head(latent.clone().narrow(0, i, 1));
        pictures.push(Tiling::new(&tail, features, most_bytes).decode(between).await?);
    }
    Ok(Tensor::cat(pictures, 0)) // [B, C, H, W]
}

/// One picture.
struct Tiling<'a> {
    tail: &'a Tail<'a>,
    /// `[1, C, h, w]`, behind the first stage's resnets.
    features: Tensor<4>,
    /// Row by row.
    tiles: Vec<Vec<Tile>>,
    sample: Vec<Tile>,
}

impl<'a> Tiling<'a> {
    fn new(tail: &'a Tail<'a>, features: Tensor<4>, most_bytes: usize) -> Self {
        let [_, _, height, width] = features.dims();
        let margin = tail.margin();
        let tiles = |side: usize| window::tiles(height, width, side, margin);
        let sample = |side: usize| window::sample(height, width, side, margin, SAMPLE);
        let fits = |tile: &Tile, count: usize| count * tail.extent.bytes(tile.window) <= most_bytes;
        let sides = || (1..=height.max(width)).rev();
        let of_tiles = sides().find(|&side| tiles(side).iter().flatten().all(|tile| fits(tile, 1)));
        let of_sample = sides().find(|&side| fits(&sample(side)[0], sample(side).len()));
        let (tiles, sample) = (tiles(of_tiles.unwrap_or(1)), sample(of_sample.unwrap_or(1)));
        Self { tail, features, tiles, sample }
    }

    async fn decode(&self, between: &mut impl AsyncFnMut()) -> Result<Tensor<4>> {
        let mut correction = None;
        let mut passes = 0;
        loop {
            let (sample, taken) = self.sampled(correction.as_ref());
            let (picture, whole) = self.pass(&taken, between).await?;
            let distance = distance(&taken, &whole).await?;
            passes += 1;
            // NaN stays: whoever looks at the pixels will say so.
            if passes == PASSES || distance <= SAME || distance.is_nan() {
                return Ok(picture);
            }
            correction = Some(Correction::new(&sample, &whole));
        }
    }

    /// The sample's statistics, and those that its norms went by: the same, if there is nothing to correct.
    fn sampled(&self, correction: Option<&Correction>) -> (Moments, Moments) {
        let tiles = self.sample.iter().map(|tile| tile.of(self.features.clone())).collect();
        let (mut sample, mut taken) = (Vec::new(), Vec::new());
        let mut norm = |norm: &GroupNorm, x: Tensor<4>, window: Window| {
            let own = norm.moments(window.core(x.clone()));
            let moments = correction.map_or_else(|| own.clone(), |correction| correction.apply(&own, taken.len()));
            let x = norm.forward_by(x, &moments);
            sample.push(own);
            taken.push(moments);
            x
        };
        self.tail.forward(Tensor::cat(tiles, 0), self.sample[0].window, &mut norm);
        (Moments::cat(sample), Moments::cat(taken))
    }

    /// The picture by these statistics, and those that its norms would have gone by.
    async fn pass(&self, taken: &Moments, between: &mut impl AsyncFnMut()) -> Result<(Tensor<4>, Moments)> {
        let [_, _, height, width] = self.features.dims();
        let mut whole = Sum::new(taken);
        let mut rows = Vec::with_capacity(self.tiles.len());
        for tiles in &self.tiles {
            let mut row = Vec::with_capacity(tiles.len());
            for tile in tiles {
                let (pixels, moments) = self.tile(*tile, taken);
                row.push(pixels);
                whole.add(moments, tile.window.within(0).area() as f64 / (height * width) as f64);
                // So that the device does not run ahead of a caller who may stop.
                whole.wait().await?;
                between().await;
            }
            rows.push(Tensor::cat(row, 3)); // [1, C, rows, W]
        }
        Ok((Tensor::cat(rows, 2), whole.moments())) // [1, C, H, W]
    }

    fn tile(&self, tile: Tile, taken: &Moments) -> (Tensor<4>, Moments) {
        let mut own = Vec::new();
        let mut norm = |norm: &GroupNorm, x: Tensor<4>, window: Window| {
            let moments = taken.of(own.len());
            own.push(norm.moments(window.core(x.clone())));
            norm.forward_by(x, &moments)
        };
        let pixels = self.tail.forward(tile.of(self.features.clone()), tile.window, &mut norm);
        (pixels, Moments::cat(own))
    }
}
