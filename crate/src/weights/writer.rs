//! Writes a model folder: tensors in the order in which the pipeline needs them, then the manifest.
//!
//! All is written to a hidden folder beside the target, which takes the target's name at the end: whoever sees the
//! folder sees a whole model.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use crate::error::{Error, ErrorKind, Result};
use crate::quant::Format;
use crate::weights::manifest::{FileEntry, Manifest, Part, TensorEntry};
use crate::weights::packed::{Packed, Packing, SHARD_BYTES, name_error};
use crate::weights::shard::{Piece, Shard, write_file};
use crate::weights::{MANIFEST, path};

/// A model folder that is being written. Dropping it unfinished leaves nothing behind.
///
/// A shard that is full is hashed and written by a thread of its own while the next one is filled, so an error of it is told
/// by a later call, by [`Self::finish`] at the latest.
pub struct Writer {
    target: PathBuf,
    partial: PathBuf,
    /// The one that is being filled.
    shard: Option<Shard>,
    /// The one before it, while it is hashed and brought to the disk, which takes as long as filling it.
    leaving: Option<JoinHandle<Result<FileEntry>>>,
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
        Ok(Self { target, partial, shard: None, leaving: None, shard_counts, files: Vec::new(), tensors })
    }

    /// Adds the tensor `name`. `values` has the given `shape`, the last axis fastest; in a block format the first axis
    /// is rows (output features) and the others are taken together as columns.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`], which names the tensor, if there is one of that name, the name or shape is not one that
    /// a manifest can have, or a value is not finite or not within the range of `format`; [`ErrorKind::File`] if a
    /// finished shard cannot be written.
    pub fn add(&mut self, name: &str, shape: &[usize], values: &[f32], format: Format) -> Result<()> {
        let packing = Packing::new(name, shape, format)?;
        self.check_new(name)?;
        let packed = packing.pack(0..packing.rows(), values)?;
        self.add_whole(&packing, packed)
    }

    /// Adds a tensor, of which `packed` gives the rows that it is asked for: [`Packing::chunks`], one after another. A
    /// tensor that is longer than a shard is split by rows, so that no more than a shard's worth is in memory.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`] if there is a tensor of that name, [`ErrorKind::File`] if a finished shard cannot be
    /// written, and those of `packed`.
    pub fn add_packed(
        &mut self,
        packing: &Packing,
        mut packed: impl FnMut(Range<usize>) -> Result<Packed>,
    ) -> Result<()> {
        self.check_new(packing.name())?;
        let mut part = |rows: Range<usize>| -> Result<Packed> {
            let mut chunks = packing.chunks_of(rows.clone());
            let mut whole = packed(chunks.next().unwrap_or(rows))?;
            chunks.try_for_each(|rows| packed(rows).map(|more| whole.append(more)))?;
            Ok(whole)
        };
        let parts = packing.parts();
        if let [all] = &parts[..] {
            return self.add_whole(packing, part(all.clone())?);
        }
        let mut entries = Vec::new();
        for rows in parts {
            let packed = part(rows.clone())?;
            self.end_shard()?;
            self.place(packing.name(), packed)?;
            entries.push(Part { file: self.next_file(), rows: [rows.start, rows.end] });
        }
        self.end_shard()?;
        self.enter(packing, entries[0].file, Some(entries));
        Ok(())
    }

    fn check_new(&self, name: &str) -> Result<()> {
        if self.tensors.contains_key(name) { Err(name_error(name)) } else { Ok(()) }
    }

    fn add_whole(&mut self, packing: &Packing, packed: Packed) -> Result<()> {
        self.place(packing.name(), packed)?;
        self.enter(packing, self.next_file(), None);
        Ok(())
    }

    fn enter(&mut self, packing: &Packing, file: usize, parts: Option<Vec<Part>>) {
        let entry = TensorEntry { file, format: packing.format(), shape: packing.shape().to_vec(), parts };
        self.tensors.insert(packing.name().to_owned(), entry);
    }

    fn place(&mut self, name: &str, Packed(pieces): Packed) -> Result<()> {
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
        self.settle()?;
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
        self.settle()?;
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

    /// The place among the files of the shard that is being filled, or of the file that comes next.
    fn next_file(&self) -> usize {
        self.files.len() + usize::from(self.leaving.is_some())
    }

    /// Lets the shard that is being filled go to the disk, once the one before it is there.
    fn end_shard(&mut self) -> Result<()> {
        if let Some(shard) = self.shard.take() {
            self.settle()?;
            let folder = self.partial.clone();
            let write = thread::Builder::new().spawn(move || shard.write(&folder));
            self.leaving = Some(write.map_err(|error| Error::file(self.partial.display(), &error))?);
        }
        Ok(())
    }

    /// Waits until every shard but the one that is being filled is on the disk.
    fn settle(&mut self) -> Result<()> {
        if let Some(leaving) = self.leaving.take() {
            let written = leaving.join();
            self.files.push(written.expect("writing a shard panics for no file, and a bug has told what it is")?);
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What it has still to write must not come after the removal. Who drops a writer wants nothing of it.
        let _ = self.leaving.take().map(JoinHandle::join);
        remove_partial(&self.partial);
    }
}

/// After [`Writer::finish`] there is nothing to remove; if removing fails, there is nobody to tell.
fn remove_partial(partial: &Path) {
    let _ = std::fs::remove_dir_all(partial);
}
