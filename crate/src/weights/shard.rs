//! Builds one safetensors file: entries one after another in the order in which they come, so that what belongs together
//! lies together.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::weights::digest::FileDigest;
use crate::weights::header::LENGTH_BYTES;
use crate::weights::manifest::FileEntry;
use crate::weights::stored::Stored;

/// The safetensors format aligns the tensors' bytes to this.
const ALIGNMENT: usize = 8;

/// Bytes with the entry that describes them.
pub(super) type Piece = (Stored, Vec<u8>);

/// A shard that is being filled.
pub(super) struct Shard {
    pub path: String,
    names: HashSet<String>,
    json: String,
    data: Vec<u8>,
}

impl Shard {
    pub fn new(path: String) -> Self {
        Self { path, names: HashSet::new(), json: String::new(), data: Vec::new() }
    }

    /// The file's length if `pieces` were added.
    pub fn bytes_with(&self, pieces: &[Piece]) -> usize {
        let mut offset = self.data.len();
        let mut json = self.json.len();
        for (stored, bytes) in pieces {
            json += entry(stored, offset, bytes.len()).len();
            offset += bytes.len();
        }
        (LENGTH_BYTES + json + "}".len()).next_multiple_of(ALIGNMENT) + offset
    }

    /// # Errors
    /// If an entry of that name is there: `a.scale` can be a tensor, and the scales of a quantized `a`.
    pub fn add(&mut self, pieces: Vec<Piece>) -> Result<()> {
        for (stored, bytes) in pieces {
            self.json.push_str(&entry(&stored, self.data.len(), bytes.len()));
            self.data.extend(bytes);
            if let Some(twice) = self.names.replace(stored.name) {
                let subject = format!("{}: {twice}", self.path);
                return Err(Error::bad_model(subject).expected("one entry of that name").found("two"));
            }
        }
        Ok(())
    }

    /// Writes the file into `folder`.
    pub fn write(mut self, folder: &Path) -> Result<FileEntry> {
        self.json.push('}');
        let length = (LENGTH_BYTES + self.json.len()).next_multiple_of(ALIGNMENT) - LENGTH_BYTES;
        let padding = length - self.json.len();
        self.json.extend(std::iter::repeat_n(' ', padding)); // The format pads its header with spaces.
        write_file(folder, &self.path, &[&(length as u64).to_le_bytes(), self.json.as_bytes(), &self.data])
    }
}

/// One line of the header, with the brace or comma before it. Names of tensors need no escape in JSON.
fn entry(stored: &Stored, offset: usize, bytes: usize) -> String {
    let Stored { name, dtype, shape } = stored;
    let open = if offset == 0 { '{' } else { ',' };
    let end = offset + bytes;
    format!("{open}\"{name}\":{{\"dtype\":\"{dtype:?}\",\"shape\":{shape:?},\"data_offsets\":[{offset},{end}]}}")
}

/// Writes `pieces` as the file `path` (checked) in `folder`, down to the disk.
pub(super) fn write_file(folder: &Path, path: &str, pieces: &[&[u8]]) -> Result<FileEntry> {
    let full = folder.join(path);
    let mut digest = FileDigest::default();
    let mut write = || {
        if let Some(parent) = full.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = File::create_new(&full)?;
        for piece in pieces {
            file.write_all(piece)?;
            digest.update(piece);
        }
        file.sync_all()
    };
    write().map_err(|error| Error::file(full.display(), &error))?;
    let (bytes, sha256, chunks) = digest.finish();
    Ok(FileEntry { path: path.into(), bytes, sha256, chunks })
}
