//! Two-dimensional convolution.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{
    kernels::conv2d::{Window, conv2d},
    weights::params::{Init, Params},
};

/// A convolution with a square kernel and a bias.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in, k, k]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    window: Window,
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
            window: Window::centred(kernel),
        }
    }

    /// Kernel 3, stride 2, zeros only behind the last row and column (diffusers' `Downsample2D` with `padding=0`).
    pub fn downsampling(channels: usize, params: &Params) -> Self {
        let window = Window { upscale: 1, padding: [0, 1], stride: 2 };
        Self { window, ..Self::new(channels, channels, 3, params) }
    }

    /// Kernel 3 over nearest neighbours of twice as many rows and columns (diffusers' `Upsample2D`).
    pub fn upsampling(channels: usize, params: &Params) -> Self {
        let window = Window { upscale: 2, ..Window::centred(3) };
        Self { window, ..Self::new(channels, channels, 3, params) }
    }

    /// `[B, in, H, W]` to `[B, out, H', W']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv2d(x, self.weight.val(), self.bias.val(), self.window)
    }
}
