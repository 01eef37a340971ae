//! Numbers → the bytes of a shard. That is most of the work of writing a model; it needs no [`Writer`](super::Writer),
//! so that several threads can do it ahead of the one that writes.

use std::ops::Range;

use bytemuck::{NoUninit, cast_slice};
use half::{f16, slice::HalfFloatSliceExt};

use crate::error::{Error, Result};
use crate::quant::{Encoded, Format, encode};
use crate::weights::shard::Piece;
use crate::weights::stored::stored;
use crate::weights::validate::{is_name, validate_shape};

/// A shard is at most this long, unless one row of a tensor is longer.
pub const SHARD_BYTES: usize = 64 << 20;
/// How much of a shard the rows of a split tensor may fill; headers, and the padding of rows, need the rest.
const SHARE: f64 = 0.9;
/// So many numbers are packed at once, 16 MiB as f32, unless one row has more.
const CHUNK_VALUES: usize = 4 << 20;

/// How one tensor is packed.
#[derive(Debug, Clone)]
pub struct Packing {
    name: String,
    shape: Vec<usize>,
    format: Format,
}

/// Some rows of a tensor, packed.
#[derive(Debug)]
pub struct Packed(pub(super) Vec<Piece>);

impl Packing {
    /// Of the tensor `name`, whose numbers have the given `shape`, the last axis fastest. In a block format the first axis is
    /// rows (output features) and the others are taken together as columns.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel), which names the tensor, if the name or shape is not one
    /// that a manifest can have.
    pub fn new(name: &str, shape: &[usize], format: Format) -> Result<Self> {
        if !is_name(name) {
            return Err(name_error(name));
        }
        validate_shape(format, shape).map_err(|expected| shape_error(name, shape, expected))?;
        // Its length would not be a multiple of 4, and a safetensors file has no padding.
        let is_odd_half = format == Format::F16 && !shape.iter().product::<usize>().is_multiple_of(2);
        let format = if is_odd_half { Format::F32 } else { format };
        Ok(Self { name: name.to_owned(), shape: shape.to_vec(), format })
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How it is stored.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many rows it has: places of its first axis. A scalar has one.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    fn columns(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The rows that lie in one shard, one range after another.
    pub(super) fn parts(&self) -> Vec<Range<usize>> {
        let row_bits = self.columns() as f64 * f64::from(self.format.bits_per_weight());
        ranges(0..self.rows(), (SHARD_BYTES as f64 * SHARE * 8.0 / row_bits.max(1.0)) as usize).collect()
    }

    /// The rows of a part that are packed at once, one range after another.
    pub(super) fn chunks_of(&self, part: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        ranges(part, CHUNK_VALUES / self.columns().max(1))
    }

    /// All rows in the pieces in which [`Writer::add_packed`](super::Writer::add_packed) asks for them, in that order.
    pub fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        self.parts().into_iter().flat_map(|part| self.chunks_of(part))
    }

    /// Packs `values`, those of some `rows`.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel), which names the tensor, if there are more or fewer
    /// values, or one is not finite or not within the range of the format.
    pub fn pack(&self, rows: Range<usize>, values: &[f32]) -> Result<Packed> {
        if rows.len() * self.columns() != values.len() {
            return Err(shape_error(&self.name, &self.shape, &format!("a shape of {} values", values.len())));
        }
        self.pieces(rows.len(), values)
            .map(Packed)
            .map_err(|error| Error::bad_model(format!("tensor {}", self.name)).found(error.to_string()))
    }

    fn pieces(&self, rows: usize, values: &[f32]) -> Result<Vec<Piece>> {
        let bytes = if self.format.is_quantized() {
            let Encoded { codes, scales, mins } = encode(values, rows, self.columns(), self.format)?;
            let codes = little_endian(codes, u32::to_le);
            [Some(codes), Some(half_bytes(scales)), mins.map(half_bytes)].into_iter().flatten().collect()
        } else {
            check_range(values, self.format)?;
            vec![if self.format == Format::F16 { half_bytes(halves(values)) } else { full_bytes(values) }]
        };
        Ok(stored(&self.name, self.format, &self.shape, rows)?.into_iter().zip(bytes).collect())
    }
}

impl Packed {
    /// Puts the rows that follow behind these.
    pub(super) fn append(&mut self, more: Self) {
        for ((stored, bytes), (more_stored, more_bytes)) in self.0.iter_mut().zip(more.0) {
            bytes.extend_from_slice(&more_bytes);
            if let (Some(rows), Some(more_rows)) = (stored.shape.first_mut(), more_stored.shape.first()) {
                *rows += more_rows;
            }
        }
    }
}

/// `whole` in ranges of `most`, of one at least.
fn ranges(whole: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let most = most.max(1);
    let end = whole.end;
    whole.step_by(most).map(move |first| first..end.min(first.saturating_add(most)))
}

/// As the formats of files have them; nothing is done but on big-endian machines.
fn little_endian<T: NoUninit>(mut numbers: Vec<T>, swapped: fn(T) -> T) -> Vec<u8> {
    numbers.iter_mut().for_each(|number| *number = swapped(*number));
    cast_slice(&numbers).to_vec()
}

fn half_bytes(numbers: Vec<f16>) -> Vec<u8> {
    little_endian(numbers, |number| f16::from_bits(number.to_bits().to_le()))
}

fn full_bytes(values: &[f32]) -> Vec<u8> {
    little_endian(values.to_vec(), |value| f32::from_bits(value.to_bits().to_le()))
}

/// Rounded; a whole slice, because `half` asks for the processor's abilities at every call.
fn halves(values: &[f32]) -> Vec<f16> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    halves
}

fn check_range(values: &[f32], format: Format) -> Result<()> {
    let limit = if format == Format::F16 { f16::MAX.to_f32() } else { f32::MAX };
    // NaN compares false, so it is refused too.
    let is_storable = |value: &f32| value.abs() <= limit;
    match values.iter().position(|value| !is_storable(value)) {
        None => Ok(()),
        Some(index) => Err(Error::bad_model(format!("value {index}"))
            .expected(format!("a number within ±{limit:e}"))
            .found(values[index].to_string())),
    }
}

pub(super) fn name_error(name: &str) -> Error {
    let expected = "a new name of letters, digits, '_', '-' and single dots";
    Error::bad_model("tensor").expected(expected).found(format!("{name:?}"))
}

fn shape_error(name: &str, shape: &[usize], expected: &str) -> Error {
    Error::bad_model(format!("tensor {name}")).expected(expected).found(format!("{shape:?}"))
}
