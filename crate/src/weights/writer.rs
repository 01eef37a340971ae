//! Writes a model folder: tensors in the order in which the pipeline needs them, then the manifest.
//!
//! All is written to a hidden folder beside the target, which takes the target's name at the end: whoever sees the
//! folder sees a whole model. A dense f16 tensor of an odd number of values is stored as f32 instead: its length would
//! not be a multiple of 4, and a safetensors file has no padding.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::f16;

use crate::error::{Error, ErrorKind, Result};
use crate::quant::{Encoded, Format, encode};
use crate::weights::manifest::{FileEntry, Manifest, Part, TensorEntry};
use crate::weights::shard::{Piece, Shard, write_file};
use crate::weights::stored::stored;
use crate::weights::validate::{is_name, validate_shape};
use crate::weights::{MANIFEST, path};

/// A shard is at most this long, unless one row of a tensor is longer.
pub const SHARD_BYTES: usize = 64 << 20;
/// How much of a shard the rows of a split tensor may fill; headers, and the padding of rows, need the rest.
const SHARE: f64 = 0.9;

/// A model folder that is being written. Dropping it unfinished leaves nothing behind.
pub struct Writer {
    target: PathBuf,
    partial: PathBuf,
    shard: Option<Shard>,
    /// Shards so far, by the component that they are named after.
    shard_counts: BTreeMap<String, u32>,
    files: Vec<FileEntry>,
    tensors: BTreeMap<String, TensorEntry>,
}

impl Writer {
    /// A writer of the model folder `target`, which does not exist yet or is empty.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if `target` has files in it, or a folder cannot be made beside it.
    pub fn new(target: impl Into<PathBuf>) -> Result<Self> {
        let target = target.into();
        let failure = |error| Error::file(target.display(), &error);
        if target.exists() && std::fs::read_dir(&target).map_err(failure)?.next().is_some() {
            return Err(Error::new(ErrorKind::File, target.display().to_string())
                .expected("no folder or an empty one")
                .found("files")
                .remedy("remove it, or choose another folder"));
        }
        let Some(name) = target.file_name() else {
            return Err(Error::new(ErrorKind::File, target.display().to_string()).expected("the path of a folder"));
        };
        let partial = target.with_file_name(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(failure)?;
        }
        std::fs::create_dir(&partial).map_err(|error| Error::file(partial.display(), &error))?;
        let (shard_counts, tensors) = Default::default();
        Ok(Self { target, partial, shard: None, shard_counts, files: Vec::new(), tensors })
    }

    /// Adds the tensor `name`. `values` has the given `shape`, the last axis fastest; in a block format the first axis
    /// is rows (output features) and the others are taken together as columns.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`], which names the tensor, if there is one of that name, the name or shape is not one that
    /// a manifest can have, or a value is not finite or not within the range of `format`; [`ErrorKind::File`] if a
    /// finished shard cannot be written.
    pub fn add(&mut self, name: &str, shape: &[usize], values: &[f32], format: Format) -> Result<()> {
        let format = self.check(name, shape, format)?;
        self.add_whole(name, shape, values, format)
    }

    /// Adds the tensor `name`, whose rows `read` gives. One that is longer than a shard is split by rows, so that no more than
    /// a shard's worth is in memory.
    ///
    /// # Errors
    /// Those of [`Self::add`] and of `read`.
    pub fn add_rows(
        &mut self,
        name: &str,
        shape: &[usize],
        format: Format,
        mut read: impl FnMut(Range<usize>) -> Result<Vec<f32>>,
    ) -> Result<()> {
        let format = self.check(name, shape, format)?;
        let rows = shape.first().copied().unwrap_or(1);
        let row_bits = shape.iter().skip(1).product::<usize>() as f64 * f64::from(format.bits_per_weight());
        let most = ((SHARD_BYTES as f64 * SHARE * 8.0 / row_bits.max(1.0)) as usize).max(1);
        if rows <= most {
            return self.add_whole(name, shape, &read(0..rows)?, format);
        }
        let mut parts = Vec::new();
        for first in (0..rows).step_by(most) {
            let range = first..rows.min(first + most);
            let part = [&[range.len()], &shape[1..]].concat();
            let pieces = self.pieces(name, &part, &read(range.clone())?, format)?;
            self.end_shard()?;
            self.place(name, pieces)?;
            parts.push(Part { file: self.files.len(), rows: [range.start, range.end] });
        }
        self.end_shard()?;
        let entry = TensorEntry { file: parts[0].file, format, shape: shape.to_vec(), parts: Some(parts) };
        self.tensors.insert(name.into(), entry);
        Ok(())
    }

    /// The format in which a tensor of this name and shape is stored.
    fn check(&self, name: &str, shape: &[usize], format: Format) -> Result<Format> {
        if !is_name(name) || self.tensors.contains_key(name) {
            let expected = "a new name of letters, digits, '_', '-' and single dots";
            return Err(Error::bad_model("tensor").expected(expected).found(format!("{name:?}")));
        }
        let shape_error = |expected: &str| shape_error(name, shape, expected);
        validate_shape(format, shape).map_err(shape_error)?;
        let is_odd_half = format == Format::F16 && !shape.iter().product::<usize>().is_multiple_of(2);
        Ok(if is_odd_half { Format::F32 } else { format })
    }

    fn add_whole(&mut self, name: &str, shape: &[usize], values: &[f32], format: Format) -> Result<()> {
        let pieces = self.pieces(name, shape, values, format)?;
        self.place(name, pieces)?;
        let entry = TensorEntry { file: self.files.len(), format, shape: shape.to_vec(), parts: None };
        self.tensors.insert(name.into(), entry);
        Ok(())
    }

    fn pieces(&self, name: &str, shape: &[usize], values: &[f32], format: Format) -> Result<Vec<Piece>> {
        if shape.iter().product::<usize>() != values.len() {
            return Err(shape_error(name, shape, &format!("a shape of {} values", values.len())));
        }
        pieces(name, shape, values, format)
            .map_err(|error| Error::bad_model(format!("tensor {name}")).found(error.to_string()))
    }

    fn place(&mut self, name: &str, pieces: Vec<Piece>) -> Result<()> {
        self.start_shard_for(name, &pieces)?;
        match &mut self.shard {
            Some(shard) => shard.add(pieces),
            None => unreachable!("a shard was started"),
        }
    }

    /// Adds a file as it is, such as a tokenizer.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`] if `path` would leave the folder or looks like a shard's or the manifest's,
    /// [`ErrorKind::File`] if it cannot be written.
    pub fn add_file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        if !path::is_safe(path) || path == MANIFEST || path.ends_with(".safetensors") {
            let expected = "a path inside the model folder, not a shard's or the manifest's";
            return Err(Error::bad_model("path").expected(expected).found(format!("{path:?}")));
        }
        self.end_shard()?;
        self.files.push(write_file(&self.partial, path, &[bytes])?);
        Ok(())
    }

    /// Writes `manifest` with the files and tensors that were added, and gives the folder its name.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`] if the manifest is not one that a reader accepts, [`ErrorKind::File`] if the folder
    /// cannot be written.
    pub fn finish(mut self, mut manifest: Manifest) -> Result<Manifest> {
        self.end_shard()?;
        manifest.files = std::mem::take(&mut self.files);
        manifest.tensors = std::mem::take(&mut self.tensors);
        let text = manifest.to_json()?;
        Manifest::parse(text.as_bytes())?;
        write_file(&self.partial, MANIFEST, &[text.as_bytes()])?;
        if self.target.exists() {
            // Empty, or this fails: not every system renames onto a folder.
            std::fs::remove_dir(&self.target).map_err(|error| Error::file(self.target.display(), &error))?;
        }
        std::fs::rename(&self.partial, &self.target).map_err(|error| Error::file(self.target.display(), &error))?;
        Ok(manifest)
    }

    /// Makes sure that the open shard is of the component of tensor `name` and has room for `pieces`.
    fn start_shard_for(&mut self, name: &str, pieces: &[Piece]) -> Result<()> {
        let component = name.split('.').next().unwrap_or(name);
        let fits = self.shard.as_ref().is_some_and(|shard| {
            shard.path.rsplit_once('-').is_some_and(|(of, _)| of == component)
                && shard.bytes_with(pieces) <= SHARD_BYTES
        });
        if fits {
            return Ok(());
        }
        self.end_shard()?;
        let count = self.shard_counts.entry(component.into()).or_default();
        *count += 1;
        self.shard = Some(Shard::new(format!("{component}-{count:05}.safetensors")));
        Ok(())
    }

    fn end_shard(&mut self) -> Result<()> {
        if let Some(shard) = self.shard.take() {
            self.files.push(shard.write(&self.partial)?);
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        remove_partial(&self.partial);
    }
}

/// After [`Writer::finish`] there is nothing to remove; if removing fails, there is nobody to tell.
fn remove_partial(partial: &Path) {
    let _ = std::fs::remove_dir_all(partial);
}

fn shape_error(name: &str, shape: &[usize], expected: &str) -> Error {
    Error::bad_model(format!("tensor {name}")).expected(expected).found(format!("{shape:?}"))
}

/// The stored entries of a tensor with their bytes.
fn pieces(name: &str, shape: &[usize], values: &[f32], format: Format) -> Result<Vec<Piece>> {
    let rows = shape.first().copied().unwrap_or(1);
    let bytes = if format.is_quantized() {
        let Encoded { codes, scales, mins } = encode(values, rows, shape.iter().skip(1).product(), format)?;
        let codes = codes.iter().flat_map(|word| word.to_le_bytes()).collect();
        [Some(codes), Some(half_bytes(&scales)), mins.as_deref().map(half_bytes)].into_iter().flatten().collect()
    } else {
        check_range(values, format)?;
        let half = || values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        let full = || values.iter().flat_map(|value| value.to_le_bytes()).collect();
        vec![if format == Format::F16 { half() } else { full() }]
    };
    Ok(stored(name, format, shape, rows)?.into_iter().zip(bytes).collect())
}

fn half_bytes(numbers: &[f16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
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
