//! Where the bytes of a model come from: a folder, memory, or (in the browser) a fetch.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::{Future, ready};
use std::io::{ErrorKind as IoErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::weights::path;

/// A future that stays on its thread, as everything does that a browser answers.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Files by path, read piece by piece. Paths are relative, with `/` between names.
pub trait ByteSource {
    /// The length of the file `path` in bytes.
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>>;

    /// Exactly `length` bytes of the file `path`, from `offset` on.
    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>>;

    /// [`Self::read`] into the whole of `bytes`, without a copy where the source can do that.
    fn read_into<'a>(&'a self, path: &'a str, offset: u64, bytes: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move {
            let found = self.read(path, offset, bytes.len()).await?;
            if found.len() != bytes.len() {
                return Err(Error::new(ErrorKind::File, format!("{path} in {}", self.name()))
                    .expected(format!("{} bytes at {offset}", bytes.len()))
                    .found(found.len().to_string()));
            }
            bytes.copy_from_slice(&found);
            Ok(())
        })
    }

    /// The same files for threads that read ahead, where a thread can wait for them. Whoever wraps a source must pass it on,
    /// or loading takes twice as long.
    fn blocking(&self) -> Option<Arc<dyn BlockingSource>>;

    /// Where this is, for messages: a folder, a URL.
    fn name(&self) -> String;
}

/// Files that any thread may read, and waits for.
pub trait BlockingSource: Send + Sync {
    /// Fills `bytes` with those of the file `path` from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if there are not so many, or they cannot be read.
    fn fill(&self, path: &str, offset: u64, bytes: &mut [u8]) -> Result<()>;
}

/// A model folder on disk.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

/// The model folder at `path`. Nothing is opened yet.
pub fn folder(path: impl Into<PathBuf>) -> Folder {
    Folder { root: path.into() }
}

impl Folder {
    /// Links inside the folder are followed wherever they lead: who made the folder made them, and download caches
    /// consist of them. A path from a manifest cannot leave the folder.
    fn open(&self, path: &str) -> Result<File> {
        if !path::is_safe(path) {
            return Err(Error::bad_model("path").expected("one inside the model folder").found(format!("{path:?}")));
        }
        let full = self.root.join(path);
        match File::open(&full) {
            Ok(file) => Ok(file),
            Err(_) if !self.root.is_dir() => Err(Error::new(ErrorKind::File, self.name())
                .expected("a model folder")
                .found("no folder")
                .remedy("check the path, or download the model")),
            Err(error) if error.kind() == IoErrorKind::NotFound => Err(missing(full.display().to_string())),
            Err(error) => Err(Error::file(full.display(), &error)),
        }
    }

    fn size_of(&self, path: &str) -> Result<u64> {
        let file = self.open(path)?;
        let metadata = file.metadata().map_err(|error| self.failure(path, &error))?;
        if metadata.is_file() { Ok(metadata.len()) } else { Err(missing(self.full_name(path)).found("a folder")) }
    }

    fn read_from(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut file = self.at(path, offset, length)?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).map_err(|error| self.failure(path, &error))?;
        Ok(bytes)
    }

    /// The file at `offset`, with `length` bytes to come: asked before memory is taken for them.
    fn at(&self, path: &str, offset: u64, length: usize) -> Result<File> {
        let mut file = self.open(path)?;
        let found = file.metadata().map_err(|error| self.failure(path, &error))?.len();
        check_range(&self.full_name(path), found, offset, length)?;
        file.seek(SeekFrom::Start(offset)).map_err(|error| self.failure(path, &error))?;
        Ok(file)
    }

    fn full_name(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    fn failure(&self, path: &str, error: &std::io::Error) -> Error {
        Error::file(self.full_name(path), error)
    }
}

impl ByteSource for Folder {
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>> {
        Box::pin(ready(self.size_of(path)))
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>> {
        Box::pin(ready(self.read_from(path, offset, length)))
    }

    fn read_into<'a>(&'a self, path: &'a str, offset: u64, bytes: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        Box::pin(ready(self.fill(path, offset, bytes)))
    }

    fn blocking(&self) -> Option<Arc<dyn BlockingSource>> {
        Some(Arc::new(self.clone()))
    }

    fn name(&self) -> String {
        self.root.display().to_string()
    }
}

impl BlockingSource for Folder {
    fn fill(&self, path: &str, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.at(path, offset, bytes.len())?.read_exact(bytes).map_err(|error| self.failure(path, &error))
    }
}

/// Files in memory: what a page was given, or a test made.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Contents by path.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Memory {
    fn file(&self, path: &str) -> Result<&[u8]> {
        self.files.get(path).map(Vec::as_slice).ok_or_else(|| missing(path.into()))
    }

    fn read_from(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        let file = self.file(path)?;
        let range = check_range(path, file.len() as u64, offset, length)?;
        Ok(file[range.start as usize..range.end as usize].to_vec())
    }
}

impl ByteSource for Memory {
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>> {
        Box::pin(ready(self.file(path).map(|file| file.len() as u64)))
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>> {
        Box::pin(ready(self.read_from(path, offset, length)))
    }

    fn blocking(&self) -> Option<Arc<dyn BlockingSource>> {
        None
    }

    fn name(&self) -> String {
        "memory".into()
    }
}

fn missing(file: String) -> Error {
    Error::new(ErrorKind::File, file)
        .expected("a file of the model")
        .found("no file")
        .remedy("download the model again, or check that the folder is a model's")
}

/// The range, if it lies in a file of `size` bytes: asked before memory is taken for it.
fn check_range(file: &str, size: u64, offset: u64, length: usize) -> Result<std::ops::Range<u64>> {
    match offset.checked_add(length as u64) {
        Some(end) if end <= size => Ok(offset..end),
        _ => Err(Error::new(ErrorKind::File, file)
            .expected(format!("{length} bytes at {offset}"))
            .found(format!("{size} bytes in all"))
            .remedy("the file was cut short: download it again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_pieces_of_its_files_and_no_others() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        std::fs::create_dir_all(outer.path().join("model/text")).unwrap();
        std::fs::write(outer.path().join("model/text/a.json"), "0123456789").unwrap();
        let folder = folder(outer.path().join("model"));
        assert_eq!(folder.size_of("text/a.json").unwrap(), 10);
        assert_eq!(folder.read_from("text/a.json", 3, 4).unwrap(), b"3456");
        for (path, kind) in
            [("../secret", ErrorKind::BadModel), ("/etc/hosts", ErrorKind::BadModel), ("text", ErrorKind::File)]
        {
            assert_eq!(folder.size_of(path).unwrap_err().kind(), kind, "{path}");
        }
        for (offset, length) in [(8, 3), (11, 0), (u64::MAX, 2), (0, usize::MAX)] {
            assert_eq!(folder.read_from("text/a.json", offset, length).unwrap_err().kind(), ErrorKind::File);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = folder("/nowhere/at/all").size_of("manifest.json").unwrap_err();
        assert_eq!(
            error.to_string(),
            "/nowhere/at/all: expected a model folder, found no folder; check the path, or download the model"
        );
        let empty = tempfile::tempdir().unwrap();
        let error = folder(empty.path()).size_of("manifest.json").unwrap_err();
        assert!(error.to_string().contains("manifest.json: expected a file of the model, found no file"), "{error}");
        assert_eq!(Memory::default().file("x").unwrap_err().kind(), ErrorKind::File);
    }
}
