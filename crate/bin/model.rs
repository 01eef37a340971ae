//! Which model folder is meant, and its bytes.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flagdit::error::{Error, ErrorKind, Result};
use flagdit::weights::{self, BlockingSource, ByteSource, Folder, LocalFuture, MANIFEST};

use crate::interrupt;

/// Where the model that ships lies in a checkout and in a release.
const DEFAULT: &str = "weights-quantized/toybox";

/// The folder that was named, or the model that ships.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(path) if is_url(path) => Err(Error::bad_request(path.display().to_string())
            .expected("a model folder")
            .found("an address")
            .remedy("this version reads folders only: download the model and name its folder")),
        Some(path) => Ok(path.into()),
        None => default_model(),
    }
}

fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains("://"))
}

/// Beside the program, above it, in the working folder or above that.
fn default_model() -> Result<PathBuf> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let beside = program.as_deref().and_then(Path::parent);
    let working = std::env::current_dir().ok();
    let folders = beside.into_iter().chain(working.as_deref()).flat_map(Path::ancestors);
    let found = folders.map(|folder| folder.join(DEFAULT)).find(|model| model.join(MANIFEST).is_file());
    found.ok_or_else(|| {
        Error::new(ErrorKind::File, "model")
            .expected(format!("{DEFAULT} beside the program or in the working tree"))
            .found("none")
            .remedy("name a model folder with --model")
    })
}

/// The files in `folder`, until Ctrl-C: reading and hashing a large model takes minutes.
pub fn source(folder: &Path) -> impl ByteSource + 'static {
    Interruptible(weights::folder(folder))
}

#[derive(Clone)]
struct Interruptible(Folder);

impl ByteSource for Interruptible {
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>> {
        self.0.size(path)
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>> {
        match interrupt::check() {
            Ok(()) => self.0.read(path, offset, length),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn read_into<'a>(&'a self, path: &'a str, offset: u64, bytes: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        match interrupt::check() {
            Ok(()) => self.0.read_into(path, offset, bytes),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn blocking(&self) -> Option<Arc<dyn BlockingSource>> {
        Some(Arc::new(self.clone()))
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

impl BlockingSource for Interruptible {
    fn fill(&self, path: &str, offset: u64, bytes: &mut [u8]) -> Result<()> {
        interrupt::check()?;
        self.0.fill(path, offset, bytes)
    }
}
