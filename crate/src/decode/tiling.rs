//! Decoding and encoding by tiles, so that what grows with the picture is only what works at the latent's resolution.
//!
//! A tile is decoded, or encoded, with as much around it as its pixels depend on, and at the picture's border with the same zeros as
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

use super::vae::{Decoder, Encoder};
use crate::{
    error::Result,
    nn::norm::{GroupNorm, Moments},
};

mod statistics;
mod stem;
mod tail;
#[cfg(test)]
mod tests;
mod window;

use statistics::{Correction, Sum, distance};
use stem::Stem;
use tail::{Extent, Tail};
use window::{Tile, Window};

/// Works out what a group norm makes of x, of which the tile's own pixels are those of the window's core.
type Norm<'a> = dyn FnMut(&GroupNorm, Tensor<4>, Window) -> Tensor<4> + 'a;

/// The part of a network that works above the latent's resolution. Tiles and their windows are told in pixels of the latent.
trait Tiled {
    /// Pixels of what goes in along a side of a pixel of the latent.
    fn scale(&self) -> usize;

    /// What has to lie around a tile.
    fn margin(&self) -> usize;

    /// Bytes of the largest tensor on the way of a tile.
    fn bytes(&self, window: Window) -> usize;

    /// A batch of tiles with this window, to what is their own of the result.
    fn forward(&self, x: Tensor<4>, window: Window, norm: &mut Norm<'_>) -> Tensor<4>;
}

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

/// Passes that are counted on when a caller is told how far it is; most pictures need as many.
const USUAL_PASSES: usize = 3;

/// What the decoder makes of latents `[B, L, h, w]`, in tensors of about `most_bytes` above the latent's resolution.
/// `between` is awaited before the first tile and after each, and told how many of how many parts are done.
pub(super) async fn decode(
    decoder: &Decoder,
    latent: Tensor<4>,
    most_bytes: usize,
    between: &mut impl AsyncFnMut(usize, usize),
) -> Result<Tensor<4>> {
    let [batch, _, height, width] = latent.dims();
    let tail = Tail::new(decoder);
    if tail.bytes(Window::whole(height, width)).saturating_mul(batch) <= most_bytes {
        return Ok(decoder.forward(latent));
    }
    let mut pictures = Vec::with_capacity(batch);
    for i in 0..batch {
        let features = decoder.head(latent.clone().narrow(0, i, 1));
        let mut between = async |done: usize, of: usize| between(i * of + done, batch * of).await;
        pictures.push(Tiling::new(&tail, features, most_bytes).run(&mut between).await?);
    }
    Ok(Tensor::cat(pictures, 0)) // [B, C, H, W]
}

/// What the encoder makes of pictures `[B, C, H, W]`; as [`decode`]. With the autoencoder that ships latents are off by 2e-4;
/// with one random encoder the statistics were not found in [`PASSES`] passes, and latents were off by a third of their
/// deviation.
pub(super) async fn encode(
    encoder: &Encoder,
    picture: Tensor<4>,
    most_bytes: usize,
    between: &mut impl AsyncFnMut(usize, usize),
) -> Result<Tensor<4>> {
    let [batch, _, height, width] = picture.dims();
    let stem = Stem::new(encoder);
    let scale = stem.scale();
    // Tiles are told in pixels of the latent, so only whole ones can be cut.
    let is_whole = height.is_multiple_of(scale) && width.is_multiple_of(scale);
    let bytes = stem.bytes(Window::whole(height.div_ceil(scale), width.div_ceil(scale)));
    if !is_whole || bytes.saturating_mul(batch) <= most_bytes {
        return Ok(encoder.forward(picture));
    }
    let mut moments = Vec::with_capacity(batch);
    for i in 0..batch {
        let mut between = async |done: usize, of: usize| between(i * of + done, batch * of).await;
        let tiling = Tiling::new(&stem, picture.clone().narrow(0, i, 1), most_bytes);
        moments.push(encoder.head(tiling.run(&mut between).await?));
    }
    Ok(Tensor::cat(moments, 0)) // [B, 2L, h, w]
}

/// One picture.
struct Tiling<'a, T> {
    part: &'a T,
    /// What goes in, `[1, C, s·h, s·w]`, s the part's scale.
    x: Tensor<4>,
    /// Row by row.
    tiles: Vec<Vec<Tile>>,
    sample: Vec<Tile>,
}

impl<'a, T: Tiled> Tiling<'a, T> {
    fn new(part: &'a T, x: Tensor<4>, most_bytes: usize) -> Self {
        let [height, width] = extent(part, &x);
        let margin = part.margin();
        let tiles = |side: usize| window::tiles(height, width, side, margin);
        let sample = |side: usize| window::sample(height, width, side, margin, SAMPLE);
        let fits = |tile: &Tile, count: usize| count * part.bytes(tile.window) <= most_bytes;
        let sides = || (1..=height.max(width)).rev();
        let of_tiles = sides().find(|&side| tiles(side).iter().flatten().all(|tile| fits(tile, 1)));
        let of_sample = sides().find(|&side| fits(&sample(side)[0], sample(side).len()));
        let (tiles, sample) = (tiles(of_tiles.unwrap_or(1)), sample(of_sample.unwrap_or(1)));
        Self { part, x, tiles, sample }
    }

    /// `between` is told how many of how many parts are done: tiles of [`USUAL_PASSES`] passes. What needs more waits before
    /// its last.
    async fn run(&self, between: &mut impl AsyncFnMut(usize, usize)) -> Result<Tensor<4>> {
        let mut correction = None;
        let of = USUAL_PASSES * self.tiles.iter().map(Vec::len).sum::<usize>();
        let (mut done, mut passes) = (0, 0);
        between(done, of).await;
        let mut tell = async || {
            done += 1;
            between(done.min(of - 1), of).await;
        };
        loop {
            let (sample, taken) = self.sampled(correction.as_ref());
            let (picture, whole) = self.pass(&taken, &mut tell).await?;
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
        let tiles = self.sample.iter().map(|tile| tile.of(self.x.clone(), self.part.scale())).collect();
        let (mut sample, mut taken) = (Vec::new(), Vec::new());
        let mut norm = |norm: &GroupNorm, x: Tensor<4>, window: Window| {
            let own = norm.moments(window.core(x.clone()));
            let moments = correction.map_or_else(|| own.clone(), |correction| correction.apply(&own, taken.len()));
            let x = norm.forward_by(x, &moments);
            sample.push(own);
            taken.push(moments);
            x
        };
        self.part.forward(Tensor::cat(tiles, 0), self.sample[0].window, &mut norm);
        (Moments::cat(sample), Moments::cat(taken))
    }

    /// The picture by these statistics, and those that its norms would have gone by.
    async fn pass(&self, taken: &Moments, between: &mut impl AsyncFnMut()) -> Result<(Tensor<4>, Moments)> {
        let [height, width] = extent(self.part, &self.x);
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
        let x = tile.of(self.x.clone(), self.part.scale());
        let pixels = self.part.forward(x, tile.window, &mut norm);
        (pixels, Moments::cat(own))
    }
}

/// Height and width of the latent that a part makes of x, or x of.
fn extent(part: &impl Tiled, x: &Tensor<4>) -> [usize; 2] {
    let [_, _, height, width] = x.dims();
    [height, width].map(|side| side / part.scale())
}
