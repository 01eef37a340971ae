//! Burn's own products and convolutions: what the CPU computes with, and what our shaders are compared with.
//!
//! Burn's GPU kernels for them are a third of what a browser's GPU engine would have to download. Our shaders do their work,
//! so there the CPU's operations are called by name and take no other tensors; a call that leaves the device open would
//! link both, and does in an engine that is built to compare them (feature `stock`).

#[cfg(all(feature = "gpu", target_family = "wasm", not(feature = "stock")))]
pub use alone::{conv2d, matmul, repeat_pixels};
#[cfg(not(all(feature = "gpu", target_family = "wasm", not(feature = "stock"))))]
pub use anywhere::{conv2d, matmul, repeat_pixels};

#[cfg(not(all(feature = "gpu", target_family = "wasm", not(feature = "stock"))))]
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

#[cfg(all(feature = "gpu", target_family = "wasm", not(feature = "stock")))]
mod alone {
    use burn::{
        backend::{
            Backend, Dispatch, Flex, backend_extension,
            ops::{FloatTensorOps, ModuleOps},
            tensor::FloatTensor,
        },
        tensor::{
            Tensor,
            ops::{ConvOptions, InterpolateMode, InterpolateOptions},
        },
    };

    #[backend_extension(Flex)]
    trait Stock: Backend {
        fn stock_matmul(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

        fn stock_conv2d(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            options: ConvOptions<2>,
        ) -> FloatTensor<Self>;

        fn stock_repeat_pixels(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self>;
    }

    impl Stock for Flex {
        fn stock_matmul(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
            Self::float_matmul(a, b)
        }

        fn stock_conv2d(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            options: ConvOptions<2>,
        ) -> FloatTensor<Self> {
            Self::conv2d(x, weight, Some(bias), options)
        }

        fn stock_repeat_pixels(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
            Self::interpolate(x, size, InterpolateOptions::new(InterpolateMode::Nearest))
        }
    }

    /// a `[.., M, K]` times b `[.., K, N]`: `[.., M, N]`.
    pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
        Tensor::from_dispatch(Dispatch::stock_matmul(a.into_dispatch(), b.into_dispatch()))
    }

    /// x `[B, in, H, W]` with a kernel `[out, in, k, k]` and a bias `[out]`: `[B, out, H', W']`.
    pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, options: ConvOptions<2>) -> Tensor<4> {
        Tensor::from_dispatch(Dispatch::stock_conv2d(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            options,
        ))
    }

    /// `[B, C, H, W]` to `[B, C, times·H, times·W]`: every row and column so many times.
    pub fn repeat_pixels(x: Tensor<4>, times: usize) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let size = [height, width].map(|length| times * length);
        Tensor::from_dispatch(Dispatch::stock_repeat_pixels(x.into_dispatch(), size))
    }
}
