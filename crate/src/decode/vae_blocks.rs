//! The parts of the AutoencoderKL, with diffusers' names.

use burn::{
    module::Module,
    tensor::{Tensor, activation::silu},
};

use crate::{
    nn::{attention::attention, conv::Conv2d, linear::Linear, norm::GroupNorm},
    weights::params::{Init, Params},
};

/// ε of every group norm.
pub const EPSILON: f64 = 1e-6;

/// Norm, SiLU, convolution, twice, beside a shortcut.
#[derive(Module, Debug)]
pub struct ResnetBlock {
    /// Before the first convolution.
    pub norm1: GroupNorm,
    /// Changes the number of channels.
    pub conv1: Conv2d,
    /// Before the second convolution.
    pub norm2: GroupNorm,
    /// Keeps the number of channels.
    pub conv2: Conv2d,
    /// Where the number of channels changes.
    pub conv_shortcut: Option<Conv2d>,
}

impl ResnetBlock {
    /// From `input` to `output` channels.
    pub fn new(input: usize, output: usize, groups: usize, params: &Params) -> Self {
        Self {
            norm1: GroupNorm::new(input, groups, EPSILON, &params.child("norm1")),
            conv1: Conv2d::new(input, output, 3, &params.child("conv1")),
            norm2: GroupNorm::new(output, groups, EPSILON, &params.child("norm2")),
            conv2: Conv2d::residual(output, &params.child("conv2")),
            conv_shortcut: (input != output).then(|| Conv2d::new(input, output, 1, &params.child("conv_shortcut"))),
        }
    }

    /// `[B, in, H, W]` to `[B, out, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_by(x, &mut GroupNorm::forward)
    }

    /// [`Self::forward`], with group norms that `norm` works out: a tile must not go by its own statistics.
    pub fn forward_by(&self, x: Tensor<4>, norm: &mut dyn FnMut(&GroupNorm, Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let h = self.conv1.forward(silu(norm(&self.norm1, x.clone())));
        let h = self.conv2.forward(silu(norm(&self.norm2, h)));
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        shortcut + h
    }
}

/// Attention of every pixel to every pixel, one head.
#[derive(Module, Debug)]
pub struct AttentionBlock {
    /// Before everything.
    pub group_norm: GroupNorm,
    /// Queries.
    pub to_q: Linear,
    /// Keys.
    pub to_k: Linear,
    /// Values.
    pub to_v: Linear,
    /// Out.
    pub to_out: Linear,
}

impl AttentionBlock {
    /// Over `channels`.
    pub fn new(channels: usize, groups: usize, params: &Params) -> Self {
        let linear = |name, init| Linear::new(channels, channels, init, &params.child(name));
        Self {
            group_norm: GroupNorm::new(channels, groups, EPSILON, &params.child("group_norm")),
            to_q: linear("to_q", Init::Xavier),
            to_k: linear("to_k", Init::Xavier),
            to_v: linear("to_v", Init::Xavier),
            to_out: linear("to_out", Init::Zeros),
        }
    }

    /// `[B, C, H, W]` to `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let pixels = self.group_norm.forward(x.clone()).reshape([batch, 1, channels, height * width]); // [B, 1, C, H·W]
        let pixels = pixels.swap_dims(2, 3); // [B, 1, H·W, C]
        let [q, k, v] = [&self.to_q, &self.to_k, &self.to_v].map(|linear| linear.forward(pixels.clone()));
        let out = self.to_out.forward(attention(q, k, v, (channels as f64).powf(-0.5), None));
        x + out.swap_dims(2, 3).reshape([batch, channels, height, width]) // [B, C, H, W]
    }
}

/// Resnet, attention, resnet.
#[derive(Module, Debug)]
pub struct MidBlock {
    /// Two.
    pub resnets: Vec<ResnetBlock>,
    /// One, or none where the configuration says so.
    pub attentions: Vec<AttentionBlock>,
}

impl MidBlock {
    /// Over `channels`.
    pub fn new(channels: usize, groups: usize, attention: bool, params: &Params) -> Self {
        let (resnets, attentions) = (params.child("resnets"), params.child("attentions"));
        let count = usize::from(attention);
        Self {
            resnets: (0..2).map(|i| ResnetBlock::new(channels, channels, groups, &resnets.child(i))).collect(),
            attentions: (0..count).map(|i| AttentionBlock::new(channels, groups, &attentions.child(i))).collect(),
        }
    }

    /// `[B, C, H, W]` to `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.resnets[0].forward(x);
        let x = self.attentions.iter().fold(x, |x, block| block.forward(x));
        self.resnets[1].forward(x)
    }
}

/// A convolution that changes the area.
#[derive(Module, Debug)]
pub struct Resampler {
    /// The convolution.
    pub conv: Conv2d,
}

impl Resampler {
    /// Halves the area's sides.
    pub fn down(channels: usize, params: &Params) -> Self {
        Self { conv: Conv2d::downsampling(channels, &params.child("conv")) }
    }

    /// Doubles the area's sides.
    pub fn up(channels: usize, params: &Params) -> Self {
        Self { conv: Conv2d::upsampling(channels, &params.child("conv")) }
    }

    /// `[B, C, H, W]` to `[B, C, H/2, W/2]` or `[B, C, 2H, 2W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(x)
    }
}

/// Resnets of one resolution, then a resampler where the resolution changes.
#[derive(Module, Debug)]
pub struct Stage {
    /// The resnets.
    pub resnets: Vec<ResnetBlock>,
    /// To half the resolution (encoder).
    pub downsamplers: Vec<Resampler>,
    /// To twice the resolution (decoder).
    pub upsamplers: Vec<Resampler>,
}

impl Stage {
    /// The encoder's stage: `count` resnets.
    pub fn down(input: usize, output: usize, count: usize, groups: usize, last: bool, params: &Params) -> Self {
        let downsamplers = params.child("downsamplers");
        let resamplers = (0..usize::from(!last)).map(|i| Resampler::down(output, &downsamplers.child(i))).collect();
        Self { downsamplers: resamplers, upsamplers: Vec::new(), ..Self::plain(input, output, count, groups, params) }
    }

    /// The decoder's stage: `count` resnets.
    pub fn up(input: usize, output: usize, count: usize, groups: usize, last: bool, params: &Params) -> Self {
        let upsamplers = params.child("upsamplers");
        let resamplers = (0..usize::from(!last)).map(|i| Resampler::up(output, &upsamplers.child(i))).collect();
        Self { upsamplers: resamplers, ..Self::plain(input, output, count, groups, params) }
    }

    fn plain(input: usize, output: usize, count: usize, groups: usize, params: &Params) -> Self {
        let resnets = params.child("resnets");
        let resnet = |i| ResnetBlock::new(if i == 0 { input } else { output }, output, groups, &resnets.child(i));
        Self { resnets: (0..count).map(resnet).collect(), downsamplers: Vec::new(), upsamplers: Vec::new() }
    }

    /// `[B, in, H, W]` to `[B, out, H', W']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.resnets.iter().fold(x, |x, resnet| resnet.forward(x));
        let x = self.downsamplers.iter().fold(x, |x, sampler| sampler.forward(x));
        self.upsamplers.iter().fold(x, |x, sampler| sampler.forward(x))
    }
}
