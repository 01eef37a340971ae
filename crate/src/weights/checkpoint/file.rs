//! One file of a checkpoint on disk, of which pieces are read by position.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// JSON and texts that are read whole are no longer than this.
pub(crate) const MAX_JSON_BYTES: u64 = 4 << 20;

/// All of the file at `path`, if it has no more than `most` bytes: asked before memory is taken for them.
///
/// # Errors
/// [`ErrorKind::File`] if it cannot be read, [`ErrorKind::BadModel`] if it is longer.
pub(crate) fn read_whole(path: &Path, most: u64) -> Result<Vec<u8>> {
    let failure = |error| Error::file(path.display(), &error);
    let bytes = path.metadata().map_err(failure)?.len();
    if bytes > most {
        let expected = format!("at most {most} bytes");
        return Err(Error::bad_model(path.display().to_string()).expected(expected).found(bytes.to_string()));
    }
    std::fs::read(path).map_err(failure)
}

/// A file of JSON, which holds what is `expected`.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, expected: impl Into<String>) -> Result<T> {
    serde_json::from_slice(&read_whole(path, MAX_JSON_BYTES)?)
        .map_err(|error| Error::bad_model(path.display().to_string()).expected(expected).found(error.to_string()))
}

/// An open file. It stays open, so that all pieces are of the file whose header was read.
#[derive(Debug)]
pub(super) struct LocalFile {
    file: Mutex<File>,
    name: String,
    bytes: u64,
}

impl LocalFile {
    /// # Errors
    /// [`ErrorKind::File`] if `path` is not a file that can be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let failure = |error| Error::file(&name, &error);
        // Asked before it is opened: opening a pipe would wait for its writer.
        if !path.metadata().map_err(failure)?.is_file() {
            return Err(Error::new(ErrorKind::File, name).expected("a file").found("something else"));
        }
        let file = File::open(path).map_err(failure)?;
        let bytes = file.metadata().map_err(failure)?.len();
        Ok(Self { file: Mutex::new(file), name, bytes })
    }

    /// Its path, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    /// As [`LocalFile::check`] and [`LocalFile::fill`].
    pub fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.check(offset, length)?];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The `length`, if the file has as many bytes from `offset` on: asked before memory is taken for them.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if the file is shorter.
    pub fn check(&self, offset: u64, length: u64) -> Result<usize> {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.bytes);
        usize::try_from(length).ok().filter(|_| inside).ok_or_else(|| {
            Error::new(ErrorKind::File, &self.name)
                .expected(format!("{length} bytes at {offset}"))
                .found(format!("{} bytes in all", self.bytes))
                .remedy("the file was cut short: download it again")
        })
    }

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if the file cannot be read.
    pub fn fill(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        // A thread that died while it read has left nothing behind but a position, which is set anew.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(bytes));
        read.map_err(|error| Error::file(&self.name, &error))
    }
}
