//! The part of an encoder that works above the latent's resolution, for one tile.

use burn::tensor::Tensor;

use super::{Norm, Tiled, window::Window};
use crate::{
    decode::{vae::Encoder, vae_blocks::ResnetBlock},
    nn::norm::GroupNorm,
};

/// Everything up to the last stage's resnets, and these.
pub(super) struct Stem<'a> {
    encoder: &'a Encoder,
    /// Of every stage.
    widths: Vec<usize>,
    margin: usize,
}

impl<'a> Stem<'a> {
    pub fn new(encoder: &'a Encoder) -> Self {
        let resnets: Vec<_> = encoder.down_blocks.iter().map(|stage| stage.resnets.len()).collect();
        let width = |resnet: &ResnetBlock| resnet.conv2.bias.val().dims()[0];
        let widths = encoder.down_blocks.iter().filter_map(|stage| stage.resnets.last().map(width)).collect();
        Self { encoder, widths, margin: margin(&resnets) }
    }
}

impl Tiled for Stem<'_> {
    fn scale(&self) -> usize {
        1 << (self.widths.len() - 1)
    }

    fn margin(&self) -> usize {
        self.margin
    }

    fn bytes(&self, window: Window) -> usize {
        let area = |stage: usize| window.times(self.scale() >> stage).area();
        let largest = |(stage, width): (usize, &usize)| width.max(&self.widths[stage.saturating_sub(1)]) * area(stage);
        self.widths.iter().enumerate().map(largest).max().unwrap_or(0) * size_of::<f32>()
    }

    /// From pixels to `[B, C, h, w]` behind the last stage's resnets. Nothing is cut before the end: most of the work is done
    /// where nearly all that lies around a tile is looked at.
    fn forward(&self, x: Tensor<4>, window: Window, norm: &mut Norm<'_>) -> Tensor<4> {
        let mut x = self.encoder.conv_in.forward(x);
        for (i, stage) in self.encoder.down_blocks.iter().enumerate() {
            let window = window.times(self.scale() >> i);
            let mut norm = |layer: &GroupNorm, x| norm(layer, x, window);
            x = stage.resnets.iter().fold(x, |x, resnet| resnet.forward_by(x, &mut norm));
            x = stage.downsamplers.iter().fold(x, |x, sampler| sampler.forward(x));
        }
        window.core(x)
    }
}

/// How far around it a pixel of the latent looks at the picture, in pixels of the latent, through stages with so many resnets,
/// the full resolution first.
fn margin(resnets: &[usize]) -> usize {
    // Two convolutions in a resnet; behind a downsampling a pixel looks at two, and at one more on the far side.
    let looks = |margin: usize, count: &usize| 2 * margin + 1 + 2 * count;
    let (last, stages) = (resnets.last().copied().unwrap_or(0), &resnets[..resnets.len().saturating_sub(1)]);
    let first_convolution = 1;
    let pixels = stages.iter().rev().fold(2 * last, looks) + first_convolution;
    pixels.div_ceil(1 << stages.len())
}
