//! f32 weights → codes, scales and minima.

use half::f16;

use crate::error::{Error, Result};
use crate::quant::fit::{Blocks, LANES, Values, fit};
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
        codes: vec![0; layout.words()],
        scales: vec![f16::ZERO; layout.scales()],
        mins: format.has_min().then(|| vec![f16::ZERO; layout.scales()]),
    };
    for (group, rows) in values.chunks(LANES * cols).enumerate() {
        for block in 0..layout.scales_per_row {
            let start = (block * BLOCK).min(cols);
            let count = (cols - start).min(BLOCK);
            let blocks = fit(&side_by_side(rows, cols, start, count), count, format);
            encoded.put(&blocks, group * LANES, block, &layout);
        }
    }
    Ok(encoded)
}

/// `count` values from `start` on of each of at most [`LANES`] rows; zeros where there are no more.
fn side_by_side(rows: &[f32], cols: usize, start: usize, count: usize) -> Values {
    let mut values = [[0.0; LANES]; BLOCK];
    for (lane, row) in rows.chunks_exact(cols).enumerate() {
        for (value, slot) in row[start..start + count].iter().zip(&mut values) {
            slot[lane] = *value;
        }
    }
    values
}

impl Encoded {
    /// Stores block number `block` of the rows from `first_row` on, those that there are.
    fn put(&mut self, blocks: &Blocks, first_row: usize, block: usize, layout: &Layout) {
        let bits = u32::BITS as usize / layout.codes_per_word;
        let words_per_block = BLOCK / layout.codes_per_word;
        for (word, codes) in blocks.codes.chunks_exact(layout.codes_per_word).enumerate() {
            let mut packed = [0; LANES];
            for (index, codes) in codes.iter().enumerate() {
                packed.iter_mut().zip(codes).for_each(|(packed, code)| *packed |= code << (bits * index));
            }
            let column = block * words_per_block + word;
            let rows = self.codes[first_row * layout.words_per_row..].chunks_exact_mut(layout.words_per_row);
            rows.zip(packed).for_each(|(row, packed)| row[column] = packed);
        }
        for (numbers, fitted) in [(Some(&mut self.scales), &blocks.scales), (self.mins.as_mut(), &blocks.mins)] {
            let Some(numbers) = numbers else { continue };
            let rows = numbers[first_row * layout.scales_per_row..].chunks_exact_mut(layout.scales_per_row);
            rows.zip(fitted).for_each(|(row, fitted)| row[block] = f16::from_f32(*fitted));
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
