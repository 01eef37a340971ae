//! A matrix whose codes stay as they are stored.

use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};

use crate::{
    error::Result,
    quant::{BLOCK, Encoded, Format, Layout},
};

/// A quantized matrix on a device.
#[derive(Module, Debug)]
pub struct QuantMatrix {
    /// `[rows, words a row]`, as [`Layout`] counts them; the bits are unsigned.
    pub(super) codes: Tensor<2, Int>,
    /// `[rows, blocks a row]`, then as many minima where the format has them; as f32: an eighth of the bytes of 4-bit codes,
    /// and no f16 in shaders.
    pub(super) scales: Tensor<2>,
    #[module(skip)]
    format: Format,
    /// Input features, without padding.
    #[module(skip)]
    cols: usize,
}

impl QuantMatrix {
    /// Whether matrices of this format can stay quantized.
    pub fn takes(format: Format) -> bool {
        format.is_quantized()
    }

    /// Bytes that `[rows, cols]` take on the device; 0 if the format is not taken.
    pub fn bytes(rows: usize, cols: usize, format: Format) -> u64 {
        let words = |layout: Layout| (layout.words() + numbers(format) * layout.scales()) * size_of::<u32>();
        Layout::new(rows, cols, format).ok().filter(|_| Self::takes(format)).map_or(0, words) as u64
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
            scales: Tensor::from_data(TensorData::new(scales, [rows, per_row * numbers(format)]), device),
            format,
            cols,
        })
    }

    /// The rows of these one below the other; they are of one width and format, and at least one.
    pub fn put_together(matrices: Vec<Self>) -> Self {
        let (format, cols) = (matrices[0].format, matrices[0].cols);
        let (codes, scales) = matrices.into_iter().map(|matrix| (matrix.codes, matrix.scales)).unzip();
        Self { codes: Tensor::cat(codes, 0), scales: Tensor::cat(scales, 0), format, cols }
    }

    /// `[rows, cols]`, W's.
    pub fn shape(&self) -> [usize; 2] {
        [self.codes.dims()[0], self.cols]
    }

    /// Bits of a code.
    pub(super) fn code_bits(&self) -> usize {
        if self.format == Format::Q8B32 { 8 } else { 4 }
    }

    /// Whether blocks have minima.
    pub(super) fn has_min(&self) -> bool {
        self.format.has_min()
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
        let numbers = |first| self.scales.clone().narrow(1, first, blocks).unsqueeze_dim::<3>(2); // [rows, blocks, 1]
        let values = levels * numbers(0);
        let values = if self.has_min() { values + numbers(blocks) } else { values };
        values.reshape([rows, padded]).narrow(1, 0, self.cols) // [rows, cols]
    }
}

/// Numbers a block: its scale, and the minimum where the format has one.
fn numbers(format: Format) -> usize {
    if format.has_min() { 2 } else { 1 }
}
