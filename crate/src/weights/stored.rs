//! Under which names and shapes the rows of a tensor lie in a shard.

use crate::error::{Error, Result};
use crate::quant::{Format, Layout};
use crate::weights::header::Dtype;

/// One safetensors entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub name: String,
    pub dtype: Dtype,
    /// The first axis is the rows that lie in this shard.
    pub shape: Vec<usize>,
}

impl Stored {
    /// Its length. The product was checked with the tensor's shape.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}

/// What ends the name of codes, scales and minima.
pub(super) const CODES: &str = ".q";
pub(super) const SCALES: &str = ".scale";
pub(super) const MINS: &str = ".min";

/// The entries for `rows` rows of tensor `name` of the (checked) logical `shape`.
///
/// # Errors
/// If an entry's length is not a multiple of 4: GPUs read words.
pub(super) fn stored(name: &str, format: Format, shape: &[usize], rows: usize) -> Result<Vec<Stored>> {
    let entry = |ending: &str, dtype, shape| Stored { name: format!("{name}{ending}"), dtype, shape };
    let entries = if format.is_quantized() {
        let layout = Layout::new(rows, shape.iter().skip(1).product(), format)?;
        let scales = vec![rows, layout.scales_per_row];
        let mut entries =
            vec![entry(CODES, Dtype::U32, vec![rows, layout.words_per_row]), entry(SCALES, Dtype::F16, scales.clone())];
        if format.has_min() {
            entries.push(entry(MINS, Dtype::F16, scales));
        }
        entries
    } else {
        let dtype = if format == Format::F16 { Dtype::F16 } else { Dtype::F32 };
        let mut shape = shape.to_vec();
        if let Some(first) = shape.first_mut() {
            *first = rows;
        }
        vec![entry("", dtype, shape)]
    };
    match entries.iter().find(|entry| !entry.bytes().is_multiple_of(4)) {
        None => Ok(entries),
        Some(entry) => Err(Error::bad_model(format!("tensor {}", entry.name))
            .expected("a length that is a multiple of 4 bytes")
            .found(format!("{:?} of {:?}", entry.shape, entry.dtype))),
    }
}
