//! The part of a decoder that works above the latent's resolution, for one tile.

use burn::tensor::{Tensor, activation::silu};

use super::{Norm, Tiled, window::Window};
use crate::{
    decode::{vae::Decoder, vae_blocks::ResnetBlock},
    nn::norm::GroupNorm,
};

/// How large tensors get behind the resnets of a decoder's first stage, told without its weights.
pub(super) struct Extent {
    /// Behind the resnets of every stage: pixels around a tile that its own depend on.
    pub margins: Vec<usize>,
    /// There too: channels.
    widths: Vec<usize>,
}

impl Extent {
    /// Of stages with so many channels and so many resnets, the lowest resolution first.
    pub fn new(widths: Vec<usize>, resnets: &[usize]) -> Self {
        Self { margins: margins(resnets), widths }
    }

    /// Of the largest tensor on the way of a tile.
    pub fn bytes(&self, mut window: Window) -> usize {
        let mut largest = 0;
        for (stage, (&margin, &width)) in self.margins.iter().zip(&self.widths).enumerate() {
            largest = largest.max(width * window.area());
            window = window.within(margin);
            // Every stage but the last is brought up to the next resolution.
            if stage + 1 < self.widths.len() {
                window = window.times(2);
            }
            largest = largest.max(width * window.area());
        }
        largest * size_of::<f32>()
    }
}

/// Everything behind the resnets of the decoder's first stage.
pub(super) struct Tail<'a> {
    decoder: &'a Decoder,
    pub extent: Extent,
}

impl<'a> Tail<'a> {
    pub fn new(decoder: &'a Decoder) -> Self {
        let resnets: Vec<_> = decoder.up_blocks.iter().map(|stage| stage.resnets.len()).collect();
        let width = |resnet: &ResnetBlock| resnet.conv2.bias.val().dims()[0];
        let widths = decoder.up_blocks.iter().filter_map(|stage| stage.resnets.last().map(width)).collect();
        Self { decoder, extent: Extent::new(widths, &resnets) }
    }
}

impl Tiled for Tail<'_> {
    fn scale(&self) -> usize {
        1
    }

    fn margin(&self) -> usize {
        self.extent.margins[0]
    }

    fn bytes(&self, window: Window) -> usize {
        self.extent.bytes(window)
    }

    /// From `[B, C, h, w]` behind the first stage's resnets to pixels.
    fn forward(&self, mut x: Tensor<4>, mut window: Window, norm: &mut Norm<'_>) -> Tensor<4> {
        for (i, (stage, &margin)) in self.decoder.up_blocks.iter().zip(&self.extent.margins).enumerate() {
            if i > 0 {
                let mut norm = |layer: &GroupNorm, x| norm(layer, x, window);
                x = stage.resnets.iter().fold(x, |x, resnet| resnet.forward_by(x, &mut norm));
            }
            let inner = window.within(margin);
            x = window.cut(x, inner);
            window = inner;
            for upsampler in &stage.upsamplers {
                x = upsampler.forward(x);
                window = window.times(2);
            }
        }
        let x = silu(norm(&self.decoder.conv_norm_out, x, window));
        window.core(self.decoder.conv_out.forward(x))
    }
}

/// How far a tile's pixels look around it behind the resnets of every stage, where the stages have so many.
fn margins(resnets: &[usize]) -> Vec<usize> {
    // The last convolution.
    let mut margin = 1;
    let mut margins = vec![margin];
    for count in resnets.iter().skip(1).rev() {
        // Two convolutions in a resnet and one behind the upsampling, which makes two pixels of one.
        margin = (margin + 2 * count + 1).div_ceil(2);
        margins.push(margin);
    }
    margins.reverse();
    margins
}
