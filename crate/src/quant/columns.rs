//! Codes → f32 weights, column after column: the order in which the CPU's product reads a matrix.
//!
//! Sixteen rows are expanded side by side. All their codes of one column lie at the same place of a word, so that the
//! innermost loop is the same shift, mask and product for each, which compilers turn into vector code, and what it writes
//! is a whole cache line.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;

use crate::error::Result;
use crate::quant::{BLOCK, Encoded, Format, Layout};

/// Rows side by side: as many f32 as a cache line holds.
const LANES: usize = 16;

/// Expands `encoded`, `[rows, cols]`, to `[cols, rows]`: the same numbers as [`decode`](super::decode()), to the bit.
///
/// # Errors
/// Those of [`decode`](super::decode()).
pub fn decode_columns(encoded: &Encoded, rows: usize, cols: usize, format: Format) -> Result<Vec<f32>> {
    let layout = Layout::new(rows, cols, format)?;
    encoded.check(&layout, format)?;
    let blocks = Blocks {
        codes: &encoded.codes,
        scales: encoded.scales.to_f32_vec(),
        mins: encoded.mins.as_ref().map(|mins| mins.to_f32_vec()),
        layout,
    };
    let mut values = vec![0.0; rows * cols];
    for (block, columns) in values.chunks_mut(BLOCK * rows).enumerate() {
        match format {
            Format::Q8B32 => {
                blocks.expand::<8>(block, columns, |word, place| f32::from((word >> (8 * place)) as u8 as i8))
            }
            Format::Q4AB32 => {
                blocks.expand::<4>(block, columns, |word, place| ((word >> (4 * place)) & 15) as i32 as f32)
            }
            _ => blocks.expand::<4>(block, columns, |word, place| (((word >> (4 * place)) & 15) as i32 - 8) as f32),
        }
    }
    Ok(values)
}

/// A matrix with its scales and minima as f32.
struct Blocks<'a> {
    codes: &'a [u32],
    scales: Vec<f32>,
    mins: Option<Vec<f32>>,
    layout: Layout,
}

impl Blocks<'_> {
    /// Block number `block` of every row, into the columns that it stands for, `[at most 32, rows]`. `level` is what the
    /// scale is multiplied with, by the word and the place in it of codes of `BITS` bits.
    fn expand<const BITS: usize>(&self, block: usize, columns: &mut [f32], level: impl Fn(u32, usize) -> f32 + Copy) {
        let rows = self.layout.rows;
        let whole = rows - rows % LANES;
        for first in (0..whole).step_by(LANES) {
            // A copy of a length that is known is a store; of another one it would be a call for every cache line.
            self.expand_rows::<BITS>(block, first..first + LANES, columns, level, |values, column| {
                column[..LANES].copy_from_slice(values)
            });
        }
        if whole < rows {
            self.expand_rows::<BITS>(block, whole..rows, columns, level, |values, column| {
                column.copy_from_slice(&values[..column.len()])
            });
        }
    }

    /// [`Self::expand`] of at most [`LANES`] rows; `put` stores them at the beginning of the rest of a column.
    #[inline(always)]
    fn expand_rows<const BITS: usize>(
        &self,
        block: usize,
        rows: Range<usize>,
        columns: &mut [f32],
        level: impl Fn(u32, usize) -> f32 + Copy,
        put: impl Fn(&[f32; LANES], &mut [f32]),
    ) {
        let Layout { rows: height, words_per_row, scales_per_row, .. } = self.layout;
        let codes_per_word = u32::BITS as usize / BITS;
        let scales = side_by_side(&self.scales, rows.clone(), scales_per_row, block);
        let mins = self.mins.as_ref().map(|mins| side_by_side(mins, rows.clone(), scales_per_row, block));
        for (word, columns) in columns.chunks_mut(codes_per_word * height).enumerate() {
            let word = block * (BLOCK / codes_per_word) + word;
            let words: [u32; LANES] = side_by_side(self.codes, rows.clone(), words_per_row, word);
            for (place, column) in columns.chunks_exact_mut(height).enumerate() {
                let mut values: [f32; LANES] = std::array::from_fn(|lane| scales[lane] * level(words[lane], place));
                if let Some(mins) = &mins {
                    values.iter_mut().zip(mins).for_each(|(value, min)| *value += min);
                }
                put(&values, &mut column[rows.start..]);
            }
        }
    }
}

/// The number in column `column` of each of these rows; zeros where there are fewer than [`LANES`].
fn side_by_side<T: Copy + Default>(numbers: &[T], rows: Range<usize>, per_row: usize, column: usize) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    for (lane, row) in lanes.iter_mut().zip(rows) {
        *lane = numbers[row * per_row + column];
    }
    lanes
}
