//! Two-dimensional convolution.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, module::conv2d, ops::ConvOptions},
};

use crate::weights::params::{Init, Params};

/// A convolution with a square kernel and a bias.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in, k, k]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Kernel `kernel`, stride 1, padded so that the area stays.
    pub fn new(input: usize, output: usize, kernel: usize, params: &Params) -> Self {
        Self::starting(input, output, kernel, Init::Lecun, params)
    }

    /// [`Self::new`] with weights that start at zero: the end of a residual branch.
    pub fn residual(channels: usize, params: &Params) -> Self {
        Self::starting(channels, channels, 3, Init::Zeros, params)
    }

    fn starting(input: usize, output: usize, kernel: usize, init: Init, params: &Params) -> Self {
        Self {
            weight: params.tensor("weight", [output, input, kernel, kernel], init),
            bias: params.tensor("bias", [output], Init::Zeros),
            stride: 1,
            padding: kernel / 2,
        }
    }

    /// Kernel 3, stride 2, no padding: the caller pads one row and one column at the far side (diffusers'
    /// `Downsample2D` with `padding=0`).
    pub fn downsampling(channels: usize, params: &Params) -> Self {
        Self { stride: 2, padding: 0, ..Self::new(channels, channels, 3, params) }
    }

    /// `[B, in, H, W]` to `[B, out, H', W']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(x, self.weight.val(), Some(self.bias.val()), options)
    }
}
