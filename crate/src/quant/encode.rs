//! f32 weights → codes, scales and minima.

use half::f16;

use crate::error::{Error, Result};
use crate::quant::fit::{Block, fit};
use crate::quant::{BLOCK, Format, Layout};

/// A quantized matrix, as it lies in a shard and on the GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Codes, `[rows, words_per_row]`; the first column is in the lowest bits of its word.
    pub codes: Vec<u32>,
    /// Scales, `[rows, scales_per_row]`; zero or a normal f16, never subnormal.
    pub scales: Vec<f16>,
    /// Minima, `[rows, scales_per_row]`, in the asymmetric format only.
    pub mins: Option<Vec<f16>>,
}

/// Packs `values`, `[rows, cols]` row by row, into `format`.
///
/// Columns that are padding take no part in the choice of a scale, and decode to zero or the level next to it.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if `format` is dense, the count is not `rows · cols`, or
/// a value is not finite or is outside the range of f16 (its scale could not be stored).
pub fn encode(values: &[f32], rows: usize, cols: usize, format: Format) -> Result<Encoded> {
    let layout = Layout::new(rows, cols, format)?;
    check_values(values, &layout)?;
    let mut encoded = Encoded {
        codes: Vec::with_capacity(layout.words()),
        scales: Vec::with_capacity(layout.scales()),
        mins: format.has_min().then(|| Vec::with_capacity(layout.scales())),
    };
    for row in values.chunks_exact(cols) {
        for block in 0..layout.scales_per_row {
            let start = (block * BLOCK).min(cols);
            let end = (start + BLOCK).min(cols);
            encoded.push(&fit(&row[start..end], format), &layout);
        }
    }
    Ok(encoded)
}

impl Encoded {
    fn push(&mut self, block: &Block, layout: &Layout) {
        let bits = u32::BITS as usize / layout.codes_per_word;
        let pack = |word: u32, (index, code): (usize, &u8)| word | u32::from(*code) << (bits * index);
        self.codes
            .extend(block.codes.chunks(layout.codes_per_word).map(|codes| codes.iter().enumerate().fold(0, pack)));
        self.scales.push(block.scale);
        if let Some(mins) = &mut self.mins {
            mins.push(block.min);
        }
    }
}

fn check_values(values: &[f32], layout: &Layout) -> Result<()> {
    let count = layout.rows * layout.cols;
    if values.len() != count {
        let expected = format!("{count} for [{}, {}]", layout.rows, layout.cols);
        return Err(Error::bad_model("number of values").expected(expected).found(values.len().to_string()));
    }
    // NaN compares false, so it is refused too.
    let is_storable = |value: &f32| value.abs() <= f16::MAX.to_f32();
    match values.iter().position(|value| !is_storable(value)) {
        None => Ok(()),
        Some(index) => Err(Error::bad_model(format!("value {index}"))
            .expected(format!("a number within ±{}", f16::MAX))
            .found(values[index].to_string())),
    }
}
