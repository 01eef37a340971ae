//! A matrix that stays as it is stored: codes in blocks, or halves.

use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};

use half::f16;

use crate::{
    error::{Error, Result},
    quant::{BLOCK, Encoded, Format, Layout},
};

/// Halves a vector of four words, which rows begin with.
const HALVES: usize = 8;

/// A matrix on a device that takes no more bytes there than in its file, scales aside.
#[derive(Module, Debug)]
pub struct QuantMatrix {
    /// `[rows, words a row]`, as [`Layout`] counts them, or two halves a word; the bits are unsigned.
    pub(in super::super) codes: Tensor<2, Int>,
    /// `[rows, blocks a row]`, then as many minima where the format has them; as f32: an eighth of the bytes of 4-bit codes,
    /// and no f16 in shaders. Halves have none.
    pub(in super::super) scales: Option<Tensor<2>>,
    #[module(skip)]
    format: Format,
    /// Input features, without padding.
    #[module(skip)]
    cols: usize,
}

impl QuantMatrix {
    /// Whether a product takes matrices of this format as they are stored: codes on every device, halves on a GPU.
    pub fn takes(format: Format, is_gpu: bool) -> bool {
        format.is_quantized() || is_gpu && format == Format::F16
    }

    /// Bytes that `[rows, cols]` take on the device; 0 if it is neither of codes nor of halves.
    pub fn bytes(rows: usize, cols: usize, format: Format) -> u64 {
        if format == Format::F16 {
            return (rows as u64).saturating_mul(half_words(cols) as u64).saturating_mul(size_of::<u32>() as u64);
        }
        let words = |layout: Layout| (layout.words() + numbers(format) * layout.scales()) * size_of::<u32>();
        Layout::new(rows, cols, format).map_or(0, words) as u64
    }

    /// Moves `[rows, cols]` to the device, codes as they are.
    ///
    /// # Errors
    /// `bad-model` if a count is not what [`Layout`] says, a scale is not finite, or the format is not taken.
    pub fn upload(encoded: &Encoded, rows: usize, cols: usize, format: Format, device: &Device) -> Result<Self> {
        let layout = Layout::new(rows, cols, format)?;
        encoded.check(&layout, format)?;
        let codes: Vec<i32> = encoded.codes.iter().map(|word| word.cast_signed()).collect();
        let per_row = layout.scales_per_row;
        let mut scales = Vec::with_capacity(layout.scales() * numbers(format));
        for (row, values) in encoded.scales.chunks(per_row).enumerate() {
            let mins = encoded.mins.as_ref().map_or(&[][..], |mins| &mins[row * per_row..][..per_row]);
            scales.extend(values.iter().chain(mins).map(|number| number.to_f32()));
        }
        Ok(Self {
            codes: Tensor::from_data(TensorData::new(codes, [rows, layout.words_per_row]), device),
            scales: Some(Tensor::from_data(TensorData::new(scales, [rows, per_row * numbers(format)]), device)),
            format,
            cols,
        })
    }

    /// The rows of these one below the other; they are of one width and format, and at least one.
    pub fn put_together(matrices: Vec<Self>) -> Self {
        let (format, cols) = (matrices[0].format, matrices[0].cols);
        let (codes, scales): (Vec<_>, Vec<_>) =
            matrices.into_iter().map(|matrix| (matrix.codes, matrix.scales)).unzip();
        let scales: Option<Vec<_>> = scales.into_iter().collect();
        Self { codes: Tensor::cat(codes, 0), scales: scales.map(|scales| Tensor::cat(scales, 0)), format, cols }
    }

    /// Moves `[rows, cols]`, row after row, to the device as halves.
    ///
    /// # Errors
    /// `bad-model` if there are not as many values as that, or none.
    pub fn upload_halves(values: &[f16], rows: usize, cols: usize, device: &Device) -> Result<Self> {
        if values.is_empty() || rows.checked_mul(cols) != Some(values.len()) {
            let (expected, found) = (format!("the values of [{rows}, {cols}]"), format!("{} values", values.len()));
            return Err(Error::bad_model("matrix").expected(expected).found(found));
        }
        let word = |pair: &[f16]| {
            let [low, high] = [0, 1].map(|i| pair.get(i).map_or(0, |half| u32::from(half.to_bits())));
            (low | high << 16).cast_signed()
        };
        let words = half_words(cols);
        let mut codes = Vec::with_capacity(rows * words);
        for (row, values) in values.chunks(cols).enumerate() {
            codes.extend(values.chunks(2).map(word));
            codes.resize((row + 1) * words, 0);
        }
        let codes = Tensor::from_data(TensorData::new(codes, [rows, words]), device);
        Ok(Self { codes, scales: None, format: Format::F16, cols })
    }

    /// `[rows, cols]`, W's.
    pub fn shape(&self) -> [usize; 2] {
        [self.codes.dims()[0], self.cols]
    }

    /// How it is stored.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bits of a code, or of a half.
    pub(in super::super) fn code_bits(&self) -> usize {
        match self.format {
            Format::F16 => 16,
            Format::Q8B32 => 8,
            _ => 4,
        }
    }

    /// Whether blocks have minima.
    pub(super) fn has_min(&self) -> bool {
        self.format.has_min()
    }

    /// The matrix in f32, `[rows, cols]`, by plain tensor operations.
    pub fn dequantize(&self) -> Tensor<2> {
        #[cfg(all(feature = "gpu", target_family = "wasm"))]
        if super::super::run_on(&self.codes.device()) {
            return self.by_a_product();
        }
        let Some(scales) = &self.scales else { return self.widened() };
        let [rows, words] = self.codes.dims();
        let bits = self.code_bits();
        let (codes_per_word, padded) = (32 / bits, words * 32 / bits);
        let (most, half) = ((1 << bits) - 1, 1 << (bits - 1));
        let level = |position: usize| {
            let code = self.codes.clone().bitwise_right_shift_scalar((position * bits) as i32);
            let code = code.bitwise_and_scalar(most);
            // q8b32's codes are in two's complement; q4b32's are 8 too large, and those with a minimum what they are.
            let signed = match self.format {
                Format::Q8B32 => (code + half).bitwise_and_scalar(most) - half,
                _ if self.has_min() => code,
                _ => code - half,
            };
            signed.float().unsqueeze_dim::<3>(2) // [rows, words, 1]
        };
        let levels = Tensor::cat((0..codes_per_word).map(level).collect(), 2); // [rows, words, codes a word]
        let levels = levels.reshape([rows, padded / BLOCK, BLOCK]); // [rows, blocks, 32]
        let blocks = padded / BLOCK;
        let numbers = |first| scales.clone().narrow(1, first, blocks).unsqueeze_dim::<3>(2); // [rows, blocks, 1]
        let values = levels * numbers(0);
        let values = if self.has_min() { values + numbers(blocks) } else { values };
        values.reshape([rows, padded]).narrow(1, 0, self.cols) // [rows, cols]
    }

    /// Halves in f32.
    fn widened(&self) -> Tensor<2> {
        let device = self.codes.device();
        #[cfg(feature = "gpu")]
        if super::super::run_on(&device) {
            return self.by_a_product();
        }
        let [rows, words] = self.codes.dims();
        let halves = |word: i32| {
            let bits = word.cast_unsigned();
            [bits as u16, (bits >> 16) as u16].map(|bits| f16::from_bits(bits).to_f32())
        };
        let values: Vec<f32> = self.codes.to_data().iter::<i32>().flat_map(halves).collect();
        let values = Tensor::<2>::from_data(TensorData::new(values, [rows, 2 * words]), &device);
        values.narrow(1, 0, self.cols) // [rows, cols]
    }

    /// The product with ones along the diagonal, whose every sum has one term: exact in f32, and nothing new to compile, or to
    /// download.
    #[cfg(feature = "gpu")]
    fn by_a_product(&self) -> Tensor<2> {
        let mut ones = vec![0f32; self.cols * self.cols];
        ones.iter_mut().step_by(self.cols + 1).for_each(|one| *one = 1.0);
        let ones = Tensor::from_data(TensorData::new(ones, [self.cols, self.cols]), &self.codes.device());
        super::gpu::in_full(ones, self).transpose() // [rows, cols]
    }
}

/// Words of a row of halves: whole vectors of four.
fn half_words(cols: usize) -> usize {
    cols.div_ceil(HALVES).saturating_mul(HALVES / 2)
}

/// Numbers a block: its scale, and the minimum where the format has one.
fn numbers(format: Format) -> usize {
    if format.has_min() { 2 } else { 1 }
}
