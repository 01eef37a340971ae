//! Burn's own products and convolutions: what the CPU computes with, and what our shaders are compared with.
//!
//! Burn's GPU kernels for them are a third of what a browser's GPU engine would have to download. Our shaders do their work,
//! so that engine has neither, unless it is built to compare them (feature `stock`).

#[cfg(any(not(target_family = "wasm"), feature = "cpu", feature = "stock"))]
pub use anywhere::{conv2d, matmul, repeat_pixels};
#[cfg(not(any(not(target_family = "wasm"), feature = "cpu", feature = "stock")))]
pub use nowhere::{conv2d, matmul, repeat_pixels};

/// Whether Burn's operations are there.
pub const IS_THERE: bool = cfg!(any(not(target_family = "wasm"), feature = "cpu", feature = "stock"));

#[cfg(any(not(target_family = "wasm"), feature = "cpu", feature = "stock"))]
mod anywhere {
    use burn::tensor::{
        Tensor, module,
        ops::{ConvOptions, InterpolateMode, InterpolateOptions},
    };

    /// a `[.., M, K]` times b `[.., K, N]`: `[.., M, N]`.
    pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
        a.matmul(b)
    }

    /// x `[B, in, H, W]` with a kernel `[out, in, k, k]` and a bias `[out]`: `[B, out, H', W']`.
    pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, options: ConvOptions<2>) -> Tensor<4> {
        module::conv2d(x, weight, Some(bias), options)
    }

    /// `[B, C, H, W]` to `[B, C, times·H, times·W]`: every row and column so many times.
    pub fn repeat_pixels(x: Tensor<4>, times: usize) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let size = [height, width].map(|length| times * length);
        module::interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size))
    }
}

/// Where every device is one that shaders run on.
#[cfg(not(any(not(target_family = "wasm"), feature = "cpu", feature = "stock")))]
mod nowhere {
    use burn::tensor::{Tensor, ops::ConvOptions};

    pub fn matmul<const D: usize>(_: Tensor<D>, _: Tensor<D>) -> Tensor<D> {
        unreachable!("a shader multiplies")
    }

    pub fn conv2d(_: Tensor<4>, _: Tensor<4>, _: Tensor<1>, _: ConvOptions<2>) -> Tensor<4> {
        unreachable!("a shader convolves")
    }

    pub fn repeat_pixels(_: Tensor<4>, _: usize) -> Tensor<4> {
        unreachable!("the shader that convolves reads pixels repeatedly")
    }
}
