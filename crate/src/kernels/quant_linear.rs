//! x Wᵀ for a W that stays quantized: the codes are expanded where they are multiplied.

use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};

use crate::{
    error::{Error, Result},
    quant::{BLOCK, Encoded, Format, Layout},
};

/// A quantized matrix on a device.
#[derive(Module, Debug)]
pub struct QuantMatrix {
    /// `[rows, words a row]`, as [`Layout`] counts them; the bits are unsigned.
    codes: Tensor<2, Int>,
    /// `[rows, blocks a row]`, as f32: an eighth of the bytes of 4-bit codes, and no f16 in shaders.
    scales: Tensor<2>,
    #[module(skip)]
    format: Format,
    /// Input features, without padding.
    #[module(skip)]
    cols: usize,
}

impl QuantMatrix {
    /// Whether matrices of this format can stay quantized.
    pub fn takes(format: Format) -> bool {
        matches!(format, Format::Q4B32 | Format::Q8B32)
    }

    /// Bytes that `[rows, cols]` take on the device; 0 if the format is not taken.
    pub fn bytes(rows: usize, cols: usize, format: Format) -> u64 {
        let words = |layout: Layout| (layout.words() + layout.scales()) * size_of::<u32>();
        Layout::new(rows, cols, format).ok().filter(|_| Self::takes(format)).map_or(0, words) as u64
    }

    /// Moves `[rows, cols]` to the device, codes as they are.
    ///
    /// # Errors
    /// `bad-model` if a count is not what [`Layout`] says, a scale is not finite, or the format is not taken.
    pub fn upload(encoded: &Encoded, rows: usize, cols: usize, format: Format, device: &Device) -> Result<Self> {
        if !Self::takes(format) {
            return Err(Error::bad_model("format").expected("q4b32 or q8b32").found(format.name()));
        }
        let layout = Layout::new(rows, cols, format)?;
        encoded.check(&layout, format)?;
        let codes: Vec<i32> = encoded.codes.iter().map(|word| word.cast_signed()).collect();
        let scales: Vec<f32> = encoded.scales.iter().map(|scale| scale.to_f32()).collect();
        Ok(Self {
            codes: Tensor::from_data(TensorData::new(codes, [rows, layout.words_per_row]), device),
            scales: Tensor::from_data(TensorData::new(scales, [rows, layout.scales_per_row]), device),
            format,
            cols,
        })
    }

    /// `[rows, cols]`, W's.
    pub fn shape(&self) -> [usize; 2] {
        [self.codes.dims()[0], self.cols]
    }

    /// Bits of a code.
    fn code_bits(&self) -> usize {
        if self.format == Format::Q8B32 { 8 } else { 4 }
    }

    /// The matrix in f32, `[rows, cols]`, by plain tensor operations.
    pub fn dequantize(&self) -> Tensor<2> {
        let [rows, words] = self.codes.dims();
        let bits = self.code_bits();
        let (codes_per_word, padded) = (32 / bits, words * 32 / bits);
        let (most, half) = ((1 << bits) - 1, 1 << (bits - 1));
        let level = |position: usize| {
            let code = self.codes.clone().bitwise_right_shift_scalar((position * bits) as i32);
            let code = code.bitwise_and_scalar(most);
            // q8b32's codes are in two's complement; q4b32's are 8 too large.
            let signed = if bits == 8 { (code + half).bitwise_and_scalar(most) } else { code };
            (signed - half).float().unsqueeze_dim::<3>(2) // [rows, words, 1]
        };
        let levels = Tensor::cat((0..codes_per_word).map(level).collect(), 2); // [rows, words, codes a word]
        let levels = levels.reshape([rows, padded / BLOCK, BLOCK]); // [rows, blocks, 32]
        let values = levels * self.scales.clone().unsqueeze_dim::<3>(2);
        values.reshape([rows, padded]).narrow(1, 0, self.cols) // [rows, cols]
    }
}

/// x `[M, cols]` times the transpose of W `[rows, cols]`: `[M, rows]`.
pub fn quant_linear(x: Tensor<2>, w: &QuantMatrix) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) {
        return gpu::launch(x, w);
    }
    reference(x, w)
}

/// [`quant_linear`] by plain tensor operations.
pub fn reference(x: Tensor<2>, w: &QuantMatrix) -> Tensor<2> {
    x.matmul(w.dequantize().transpose())
}

#[cfg(feature = "gpu")]
pub use gpu::{launches, sources};

#[cfg(feature = "gpu")]
mod gpu {
    use burn::{
        backend::{
            Backend, Dispatch, backend_extension,
            tensor::{FloatTensor, IntTensor},
        },
        tensor::Tensor,
    };
    use burn_cubecl::{CubeBackend, kernel::into_contiguous};

    use super::{
        super::shader::{Shader, Source, empty},
        QuantMatrix,
    };

    static SOURCE: Source = Source::new("quant_linear.wgsl", include_str!("../../../shaders/quant_linear.wgsl"));
    /// Columns of y that a workgroup takes.
    const TILE_N: usize = 64;
    /// Values of y that an invocation makes.
    const VALUES: usize = 16;
    /// Rows of y that a workgroup takes. Many save the most reads and expand W least often, but they pay off only where
    /// the tiles are still enough to fill a GPU ([`FULL`]).
    const TILES_M: [usize; 2] = [16, 64];
    /// Workgroups that keep a large GPU busy: two for each of some hundred multiprocessors.
    const FULL: usize = 256;
    const CODE_BITS: [usize; 2] = [4, 8];

    /// How often the shader was launched in this process.
    pub fn launches() -> u64 {
        SOURCE.launches()
    }

    fn shader(tile_m: usize, code_bits: usize) -> Shader {
        let constants = vec![("TILE_M", tile_m), ("CODE_BITS", code_bits)];
        Shader { source: &SOURCE, constants, threads: tile_m * TILE_N / VALUES }
    }

    /// Every variant with its name.
    pub fn sources() -> Vec<(String, String)> {
        let shaders = TILES_M.iter().flat_map(|&tile_m| CODE_BITS.map(|code_bits| shader(tile_m, code_bits)));
        shaders.map(|shader| (shader.name(), shader.text())).collect()
    }

    #[backend_extension(Cube)]
    trait QuantLinear: Backend {
        fn quant_linear(
            x: FloatTensor<Self>,
            codes: IntTensor<Self>,
            scales: FloatTensor<Self>,
            code_bits: usize,
        ) -> FloatTensor<Self>;
    }

    impl QuantLinear for CubeBackend {
        fn quant_linear(
            x: FloatTensor<Self>,
            codes: IntTensor<Self>,
            scales: FloatTensor<Self>,
            code_bits: usize,
        ) -> FloatTensor<Self> {
            let (x, codes, scales) = (into_contiguous(x), into_contiguous(codes), into_contiguous(scales));
            let ([m, k], n) = ([x.meta.shape()[0], x.meta.shape()[1]], codes.meta.shape()[0]);
            let y = empty(&x, &[m, n]);
            let tile_m = if m.div_ceil(TILES_M[1]) * n.div_ceil(TILE_N) >= FULL { TILES_M[1] } else { TILES_M[0] };
            let workgroups = [n.div_ceil(TILE_N), m.div_ceil(tile_m), 1];
            let numbers = [m, n, k].map(|count| count as u64).to_vec();
            shader(tile_m, code_bits).launch(&x.client, workgroups, &[&x, &codes, &scales, &y], numbers);
            y
        }
    }

    pub fn launch(x: Tensor<2>, w: &QuantMatrix) -> Tensor<2> {
        let [codes, scales] = [w.codes.clone().into_dispatch(), w.scales.clone().into_dispatch()];
        Tensor::from_dispatch(Dispatch::quant_linear(x.into_dispatch(), codes, scales, w.code_bits()))
    }
}
