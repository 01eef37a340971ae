//! Some rows of W, which are columns of a product, as vectors multiply them: a lane each.

use crate::{
    kernels::linear::QuantMatrix,
    quant::{BLOCK, Format},
};

use super::super::array::{Array, Words};

/// A matrix of codes on the CPU.
pub struct Matrix {
    codes: Words,
    scales: Array<2>,
    /// Output features.
    pub rows: usize,
    words_per_row: usize,
    /// Bits of a code.
    pub code_bits: usize,
    format: Format,
}

/// The blocks of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Those of a row.
    pub per_row: usize,
    /// The number that stands for zero among codes without a sign.
    pub zero: i32,
}

impl Matrix {
    /// Nothing if it is one of halves, or not on the CPU.
    pub fn of(matrix: &QuantMatrix) -> Option<Self> {
        let [rows, words_per_row] = matrix.codes.dims();
        let scales = Array::of(matrix.scales.as_ref()?)?.whole();
        let (code_bits, format) = (matrix.code_bits(), matrix.format());
        Some(Self { codes: Words::of(&matrix.codes)?, scales, rows, words_per_row, code_bits, format })
    }

    /// Its blocks.
    pub fn blocks(&self) -> Blocks {
        let zero = match self.format {
            Format::Q8B32 => 128,
            Format::Q4AB32 => 0,
            _ => 8,
        };
        Blocks { per_row: self.words_per_row * 32 / self.code_bits / BLOCK, zero }
    }
}

/// Rows of W side by side, one a lane: words of its codes in order, and the scales and minima of its blocks.
#[derive(Default)]
pub struct Strip {
    pub words: Vec<u32>,
    pub scales: Vec<f32>,
    pub mins: Vec<f32>,
}

impl Strip {
    /// Expands `WIDTH` rows from `first` on, codes to numbers of `BITS` bits; what is beyond the last row is the last one
    /// again.
    #[inline(always)]
    pub fn fill<const BITS: usize, const WIDTH: usize>(&mut self, matrix: &Matrix, first: usize) {
        let rows: [usize; WIDTH] = std::array::from_fn(|lane| (first + lane).min(matrix.rows - 1));
        let blocks = matrix.blocks().per_row;
        let [_, per_row] = matrix.scales.dims();
        let scales = matrix.scales.values();
        side_by_side(&mut self.scales, scales, rows.map(|row| row * per_row), blocks);
        match matrix.format.has_min() {
            true => side_by_side(&mut self.mins, scales, rows.map(|row| row * per_row + blocks), blocks),
            false => self.mins.clear(),
        }
        match matrix.code_bits {
            8 => self.expand::<BITS, 8, WIDTH>(matrix, rows),
            _ => self.expand::<BITS, 4, WIDTH>(matrix, rows),
        }
    }

    #[inline(always)]
    fn expand<const BITS: usize, const CODE: usize, const WIDTH: usize>(
        &mut self,
        matrix: &Matrix,
        rows: [usize; WIDTH],
    ) {
        let (codes, count, words) = (matrix.codes.values(), matrix.words_per_row, BITS / CODE);
        let starts = rows.map(|row| row * count);
        assert!(starts.iter().all(|start| start + count <= codes.len()), "rows of {count} words of {}", codes.len());
        self.words.resize(count * words * WIDTH, 0);
        for (word, into) in self.words.chunks_exact_mut(words * WIDTH).enumerate() {
            // A loop, since a method of arrays would be a call without vectors; and not a loop over single lanes, which would
            // become instructions that gather, slower than what they replace.
            let mut column = [0; WIDTH];
            // SAFETY: the row has so many words, as was asserted.
            let code = |start: usize| unsafe { *codes.get_unchecked(start + word) }.cast_unsigned();
            for (column, &[a, b, c, d]) in column.as_chunks_mut().0.iter_mut().zip(starts.as_chunks().0) {
                *column = [code(a), code(b), code(c), code(d)];
            }
            for (place, into) in into.chunks_exact_mut(WIDTH).enumerate() {
                for (into, word) in into.iter_mut().zip(column) {
                    *into = spread::<BITS, CODE>(word, place);
                }
            }
        }
    }
}

/// `count` numbers of each of some rows, which begin there: those of one place beside each other.
#[inline(always)]
fn side_by_side<const WIDTH: usize>(into: &mut Vec<f32>, numbers: &[f32], starts: [usize; WIDTH], count: usize) {
    into.resize(count * WIDTH, 0.0);
    for (place, into) in into.chunks_exact_mut(WIDTH).enumerate() {
        for (into, start) in into.iter_mut().zip(starts) {
            *into = numbers[start + place];
        }
    }
}

/// Of a word of codes of `CODE` bits those that fill word number `place` when each takes `BITS` bits; codes with a sign lose
/// it, 128 being their zero.
#[inline(always)]
fn spread<const BITS: usize, const CODE: usize>(word: u32, place: usize) -> u32 {
    match (BITS, CODE) {
        (8, 4) => {
            let codes = (word >> (16 * place)) & 0xFFFF;
            let pairs = (codes | codes << 8) & 0x00FF_00FF;
            (pairs | pairs << 4) & 0x0F0F_0F0F
        }
        (8, 8) => word ^ 0x8080_8080,
        (16, 4) => {
            let codes = word >> (8 * place);
            codes & 0xF | (codes & 0xF0) << 12
        }
        (16, 8) => {
            let codes = (word ^ 0x8080_8080) >> (16 * place);
            codes & 0xFF | (codes & 0xFF00) << 8
        }
        _ => unreachable!("no codes of {CODE} bits become numbers of {BITS}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_order() {
        let four = 0x8765_4321;
        assert_eq!([0, 1].map(|place| spread::<8, 4>(four, place)), [0x0403_0201, 0x0807_0605]);
        let expected = [0x0002_0001, 0x0004_0003, 0x0006_0005, 0x0008_0007];
        assert_eq!([0, 1, 2, 3].map(|place| spread::<16, 4>(four, place)), expected);
        // −128, −1, 0 and 127.
        let eight = 0x7F00_FF80;
        assert_eq!(spread::<8, 8>(eight, 0), 0xFF80_7F00);
        assert_eq!([0, 1].map(|place| spread::<16, 8>(eight, place)), [0x007F_0000, 0x00FF_0080]);
    }
}
