//! Codes, scales and minima → f32 weights, without the padding.

use half::f16;

use crate::error::{Error, Result};
use crate::quant::{BLOCK, Encoded, Format, Layout};

/// Expands `encoded` to `[rows, cols]`, row by row.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if `format` is dense, the number of words, scales or
/// minima is not what [`Layout`] counts, or a scale or minimum is not finite.
pub fn decode(encoded: &Encoded, rows: usize, cols: usize, format: Format) -> Result<Vec<f32>> {
    let layout = Layout::new(rows, cols, format)?;
    encoded.check(&layout, format)?;
    let mut values = Vec::with_capacity(rows * cols);
    for row in 0..rows {
        let words = &encoded.codes[row * layout.words_per_row..][..layout.words_per_row];
        for block in 0..layout.padded_cols / BLOCK {
            let index = row * layout.scales_per_row + block;
            let scale = encoded.scales[index].to_f32();
            let min = encoded.mins.as_ref().map_or(0.0, |mins| mins[index].to_f32());
            let columns = block * BLOCK..((block + 1) * BLOCK).min(cols);
            values.extend(columns.map(|column| scale * level(words, column, format) + min));
        }
    }
    Ok(values)
}

impl Encoded {
    /// Refuses other counts than `layout` has, and scales and minima that are no finite numbers.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) that names what is wrong.
    pub fn check(&self, layout: &Layout, format: Format) -> Result<()> {
        check_counts(self, layout, format)?;
        check_finite("scale", &self.scales)?;
        check_finite("min", self.mins.as_deref().unwrap_or_default())
    }
}

/// What the scale is multiplied with.
fn level(words: &[u32], column: usize, format: Format) -> f32 {
    match format {
        Format::Q8B32 => f32::from((words[column / 4] >> (8 * (column % 4))) as u8 as i8),
        _ => {
            let code = (words[column / 8] >> (4 * (column % 8))) & 15;
            code as f32 - if format.has_min() { 0.0 } else { 8.0 }
        }
    }
}

fn check_counts(encoded: &Encoded, layout: &Layout, format: Format) -> Result<()> {
    let mins = if format.has_min() { layout.scales() } else { 0 };
    let found_mins = encoded.mins.as_ref().map_or(0, Vec::len);
    for (what, expected, found) in [
        ("words of codes", layout.words(), encoded.codes.len()),
        ("scales", layout.scales(), encoded.scales.len()),
        ("minima", mins, found_mins),
    ] {
        if expected != found {
            let subject = format!("number of {what} of [{}, {}] in {format}", layout.rows, layout.cols);
            return Err(Error::bad_model(subject).expected(expected.to_string()).found(found.to_string()));
        }
    }
    Ok(())
}

fn check_finite(what: &str, numbers: &[f16]) -> Result<()> {
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::bad_model(format!("{what} of block {index}"))
            .expected("a finite number")
            .found(numbers[index].to_string())),
    }
}
