//! Checkpoints as they are downloaded → tensors: safetensors files, alone or in shards, and files of `torch.save`.
//!
//! Opening reads headers only; numbers are read by rows, as f32, when they are asked for. What a file is, its content
//! tells (`kind.rs`). A file of `torch.save` contains a program, of which `pickle.rs` runs nothing: it builds what
//! plain state dicts need. Names are upstream's; [`upstream`](crate::weights::upstream) translates them.

mod bytes;
mod describe;
mod file;
mod floats;
mod folder;
mod kind;
mod objects;
mod pickle;
mod safetensors;
#[cfg(test)]
mod tests;
mod torch;
mod zip;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};
use crate::weights::header::Dtype;
use file::LocalFile;

pub(crate) use file::{MAX_JSON_BYTES, read_json, read_whole};
use folder::Shards;
use kind::FileKind;

/// One network in one or several files, which stay open.
#[derive(Debug)]
pub struct Checkpoint {
    name: String,
    files: Vec<LocalFile>,
    tensors: BTreeMap<String, TensorInfo>,
}

/// One tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// What its numbers are.
    pub dtype: Dtype,
    /// Its shape as it is stored.
    pub shape: Vec<usize>,
    /// How many bytes it has as it is stored.
    pub bytes: u64,
    offset: u64,
    /// Its place in the checkpoint's files.
    file: usize,
}

impl TensorInfo {
    /// How many rows it has: places of its first axis. A scalar has one.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    fn row_bytes(&self) -> u64 {
        self.bytes.checked_div(self.rows() as u64).unwrap_or(0)
    }
}

impl Checkpoint {
    /// Opens the checkpoint at `path`: a file of weights, the `.index.json` of several, or a folder.
    ///
    /// In a folder the first of these counts: `consolidated.NN-of-MM.*`, `consolidated_ema.NN-of-MM.*`, an index of
    /// safetensors, a `.safetensors`, another index, a file of `torch.save` (other than Lumina's `model_args.pth`). Of
    /// several of a sort the one is taken that has the name which diffusers or transformers give; without it, none.
    ///
    /// The tensors of a file of `torch.save` are those of its dict; if that has none, those of the dict under
    /// `state_dict`, `model`, `module` or `ema`, the first of these that has any, where the same holds once more.
    /// Whatever else it holds is ignored.
    ///
    /// # Errors
    /// [`ErrorKind::File`](crate::error::ErrorKind::File) if a file is missing or cannot be read,
    /// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel), which says what was found, if one is not a
    /// checkpoint, was cut short, contradicts itself or the index, contains code, or holds a tensor of another's name,
    /// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) if its numbers are big-endian.
    pub fn open(path: &Path) -> Result<Self> {
        let Shards { files, indexed } = folder::shards(path)?;
        let mut checkpoint = Self { name: path.display().to_string(), files: Vec::new(), tensors: BTreeMap::new() };
        for path in &files {
            checkpoint.add(LocalFile::open(path)?)?;
        }
        for (name, place) in indexed {
            if checkpoint.tensors.get(&name).is_none_or(|tensor| tensor.file != place) {
                let subject = format!("{}: {name}", checkpoint.files[place].name());
                return Err(Error::bad_model(subject)
                    .expected("a tensor, as the index says")
                    .found("none")
                    .remedy("download the index and its files again, from one place"));
            }
        }
        if checkpoint.tensors.is_empty() {
            return Err(Error::bad_model(checkpoint.name).expected("tensors").found("none"));
        }
        Ok(checkpoint)
    }

    /// Adds the tensors of one more file.
    fn add(&mut self, file: LocalFile) -> Result<()> {
        let found = match kind::kind(&file)? {
            FileKind::Safetensors => safetensors::tensors(&file)?,
            FileKind::Torch => torch::tensors(&file)?,
        };
        for (name, tensor) in found {
            if let Some(other) = self.tensors.get(&name) {
                return Err(Error::bad_model(format!("{}: {name}", file.name()))
                    .expected("each tensor in one file")
                    .found(format!("it in {} too", self.files[other.file].name()))
                    .remedy("name one file, or first merge the parts if the model was split for several GPUs"));
            }
            let (dtype, shape, bytes, offset) = (tensor.dtype, tensor.shape, tensor.bytes, tensor.offset);
            self.tensors.insert(name, TensorInfo { dtype, shape, bytes, offset, file: self.files.len() });
        }
        self.files.push(file);
        Ok(())
    }

    /// Its path, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All tensors, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor `name`.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// How many bytes all tensors have as they are stored.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().fold(0, |bytes, tensor| bytes.saturating_add(tensor.bytes))
    }

    /// What the names of the tensors tell, if they are those of something well known that is not a Lumina or a part of
    /// one: words that may follow "this is".
    pub fn describe(&self) -> Option<&'static str> {
        describe::describe(self.tensors.keys().map(String::as_str))
    }

    /// The numbers of the `rows` of tensor `name`, one row after another.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if there is no such tensor, it has no such rows or
    /// its numbers are integers, [`ErrorKind::File`](crate::error::ErrorKind::File) if they cannot be read.
    pub fn read(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let subject = || format!("{}: {name}", self.name);
        let Some(tensor) = self.tensors.get(name) else {
            return Err(Error::bad_model(subject()).expected("a tensor").found("none"));
        };
        let Some(read) = floats::reader(tensor.dtype) else {
            return Err(Error::bad_model(subject()).expected("floats").found(format!("integers ({:?})", tensor.dtype)));
        };
        if rows.start > rows.end || rows.end > tensor.rows() {
            let found = format!("rows {} to {}", rows.start, rows.end);
            return Err(Error::bad_model(subject()).expected(format!("at most {} rows", tensor.rows())).found(found));
        }
        // Within the tensor's bytes, which lie in the file.
        let row_bytes = tensor.row_bytes();
        let (start, length) = (rows.start as u64 * row_bytes, rows.len() as u64 * row_bytes);
        read(&self.files[tensor.file], tensor.offset + start, length)
    }
}
