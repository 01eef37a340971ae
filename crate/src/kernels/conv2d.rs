//! Two-dimensional convolution with a square kernel.

use burn::tensor::{
    Tensor,
    ops::{ConvOptions, PadMode},
};

use super::stock;

/// Where a kernel is laid on x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How often every row and column of x is repeated before.
    pub upscale: usize,
    /// Zeros before the first row and column, and behind the last.
    pub padding: [usize; 2],
    /// From one place to the next.
    pub stride: usize,
}

impl Window {
    /// Every pixel is the middle of one place.
    pub fn centred(kernel: usize) -> Self {
        Self { upscale: 1, padding: [kernel / 2; 2], stride: 1 }
    }

    /// Places of a kernel of `kernel` pixels along a side of `length`.
    pub(super) fn places(self, length: usize, kernel: usize) -> usize {
        (length * self.upscale + self.padding.iter().sum::<usize>() - kernel) / self.stride + 1
    }
}

/// x `[B, in, H, W]` with a kernel `[out, in, k, k]` and a bias `[out]`: `[B, out, H', W']`, H' and W' the places of
/// `window`.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, window: Window) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) {
        return gpu::launch(x, weight, bias, window);
    }
    reference(x, weight, bias, window)
}

/// [`conv2d`] by plain tensor operations.
pub fn reference(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, window: Window) -> Tensor<4> {
    let x = if window.upscale == 1 { x } else { stock::repeat_pixels(x, window.upscale) };
    let [near, far] = window.padding;
    let (x, padding) = if near == far { (x, near) } else { (x.pad((near, far, near, far), PadMode::Constant(0.0)), 0) };
    stock::conv2d(x, weight, bias, ConvOptions::new([window.stride; 2], [padding; 2], [1, 1], 1))
}

#[cfg(feature = "gpu")]
pub use gpu::{launches, sources};

#[cfg(feature = "gpu")]
mod gpu {
    use burn::{
        backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor},
        tensor::Tensor,
    };
    use burn_cubecl::{CubeBackend, kernel::into_contiguous};

    use super::{
        super::shader::{Shader, Source, empty},
        Window,
    };

    static SOURCE: Source = Source::new("conv2d.wgsl", include_str!("../../../shaders/conv2d.wgsl"));
    const THREADS: usize = 64;
    /// Neighbours of a row that an invocation makes.
    const PIXELS: usize = 8;
    /// Channels come by vectors of so many.
    const VECTOR: usize = 4;
    /// What networks have: a product of channels, a window, and such that double and halve the area.
    const USUAL: [(usize, Window); 4] = [
        (1, Window { upscale: 1, padding: [0, 0], stride: 1 }),
        (3, Window { upscale: 1, padding: [1, 1], stride: 1 }),
        (3, Window { upscale: 2, padding: [1, 1], stride: 1 }),
        (3, Window { upscale: 1, padding: [0, 1], stride: 2 }),
    ];

    fn shader(kernel: usize, window: Window, vectors: usize) -> Shader {
        let constants = vec![
            ("KERNEL", kernel),
            ("STRIDE", window.stride),
            ("PADDING", window.padding[0]),
            ("UPSCALE", window.upscale),
            ("VECTORS", vectors),
        ];
        Shader { source: &SOURCE, constants, threads: THREADS }
    }

    /// How often the shader was launched in this process.
    pub fn launches() -> u64 {
        SOURCE.launches()
    }

    /// Every usual variant with its name.
    pub fn sources() -> Vec<(String, String)> {
        let shaders = USUAL.iter().flat_map(|&(kernel, window)| [1, 2].map(|vectors| shader(kernel, window, vectors)));
        shaders.map(|shader| (shader.name(), shader.text())).collect()
    }

    #[backend_extension(Cube)]
    trait Conv2d: Backend {
        fn own_conv2d(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            window: Window,
        ) -> FloatTensor<Self>;
    }

    impl Conv2d for CubeBackend {
        fn own_conv2d(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            window: Window,
        ) -> FloatTensor<Self> {
            let [x, weight, bias] = [x, weight, bias].map(into_contiguous);
            let [batch, inputs, height, width] = [0, 1, 2, 3].map(|dimension| x.meta.shape()[dimension]);
            let (kernel, outputs) = (weight.meta.shape()[1], bias.meta.shape()[0]);
            let [out_height, out_width] = [height, width].map(|length| window.places(length, kernel));
            let y = empty(&x, &[batch, outputs, out_height, out_width]);
            let vectors = if outputs > VECTOR { 2 } else { 1 };
            let places = out_height * out_width.div_ceil(PIXELS);
            let workgroups = [places.div_ceil(THREADS), outputs.div_ceil(VECTOR * vectors), batch];
            let numbers = [inputs, height, width, outputs, out_height, out_width].map(|count| count as u64).to_vec();
            shader(kernel, window, vectors).launch(&x.client, workgroups, &[&x, &weight, &bias, &y], numbers);
            y
        }
    }

    pub fn launch(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, window: Window) -> Tensor<4> {
        let weight = weight.permute([1, 2, 3, 0]); // [in, k, k, out]
        let [inputs, side, _, outputs] = weight.dims();
        let missing = outputs.next_multiple_of(VECTOR) - outputs;
        let weight = match missing {
            0 => weight,
            _ => Tensor::cat(vec![weight, Tensor::zeros([inputs, side, side, missing], &x.device())], 3),
        }; // [in, k, k, a multiple of 4]
        let [x, weight] = [x, weight].map(Tensor::into_dispatch);
        Tensor::from_dispatch(Dispatch::own_conv2d(x, weight, bias.into_dispatch(), window))
    }
}
