//! How many words and scales a quantized matrix has, in arithmetic that cannot overflow.

use crate::error::{Error, Result};
use crate::quant::{BLOCK, Format};

/// Input features are padded to a multiple of this, so that each row has an even number of scales: a kernel reads two
/// f16 scales as one u32.
const COLUMN_MULTIPLE: usize = 2 * BLOCK;

/// The sizes of one quantized matrix `[rows, cols]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Output features.
    pub rows: usize,
    /// Input features, as the network sees them.
    pub cols: usize,
    /// Input features with padding, a multiple of 64.
    pub padded_cols: usize,
    /// u32 words of codes a row.
    pub words_per_row: usize,
    /// f16 scales a row (and minima, where the format has them): one a block, always even.
    pub scales_per_row: usize,
    /// Codes a u32 word.
    pub codes_per_word: usize,
}

impl Layout {
    /// The layout of `[rows, cols]` in `format`.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if `format` is dense, a side is zero, or the padded
    /// matrix has more bytes as f32 than this machine can address.
    pub fn new(rows: usize, cols: usize, format: Format) -> Result<Self> {
        let Some(bits) = format.code_bits() else {
            return Err(Error::bad_model("format").expected("a block format").found(format.name()));
        };
        if rows == 0 || cols == 0 {
            return Err(Error::bad_model("matrix").expected("at least one value").found(format!("[{rows}, {cols}]")));
        }
        let padded_cols =
            cols.checked_next_multiple_of(COLUMN_MULTIPLE).filter(|padded| is_addressable(rows, *padded)).ok_or_else(
                || Error::bad_model("matrix").expected("a size in memory").found(format!("[{rows}, {cols}]")),
            )?;
        let codes_per_word = u32::BITS as usize / bits;
        Ok(Self {
            rows,
            cols,
            padded_cols,
            words_per_row: padded_cols / codes_per_word,
            scales_per_row: padded_cols / BLOCK,
            codes_per_word,
        })
    }

    /// u32 words of codes in all.
    pub fn words(&self) -> usize {
        self.rows * self.words_per_row
    }

    /// f16 scales in all.
    pub fn scales(&self) -> usize {
        self.rows * self.scales_per_row
    }
}

/// Whether the matrix, expanded to f32, is one that an allocation can hold.
fn is_addressable(rows: usize, cols: usize) -> bool {
    rows.checked_mul(cols)
        .and_then(|count| count.checked_mul(size_of::<f32>()))
        .is_some_and(|bytes| isize::try_from(bytes).is_ok())
}
