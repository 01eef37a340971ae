//! Files that are whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Writes `bytes` to `path`: into a new file in the same folder, which then takes the name. Whatever goes wrong, `path`
/// is what it was before.
///
/// # Errors
/// `file`, which names the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = Draft::create(path)?;
    draft
        .file
        .write_all(bytes)
        .and_then(|()| draft.file.sync_all())
        .map_err(|error| Error::file(path.display(), &error))?;
    draft.keep()
}

/// Finds out whether [`write_atomically`] could write `path`, before time is spent on what it shall hold.
///
/// # Errors
/// `file`, which names the path.
pub fn check_writable(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::new(ErrorKind::File, path.display().to_string()).expected("a file").found("a folder"));
    }
    Draft::create(path).map(drop)
}

/// A file on its way to its name; removed when dropped before it got it.
struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
    is_kept: bool,
}

impl Draft {
    fn create(path: &Path) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let failure = |error: std::io::Error| {
            let error = Error::file(path.display(), &error);
            let is_missing = !folder_of(path).is_dir();
            if is_missing { error.remedy("its folder does not exist") } else { error }
        };
        // A link stays a link: the file it leads to is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short, so that a name which the file system allows stays allowed.
        let name: String = name.chars().take(20).collect();
        let draft = folder_of(&target).join(format!(".{name}.{}-{number}.part", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&draft).map_err(failure)?;
        Ok(Self { file, path: draft, target, is_kept: false })
    }

    fn keep(mut self) -> Result<()> {
        fs::rename(&self.path, &self.target).map_err(|error| Error::file(self.target.display(), &error))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path); // There is nobody left to tell.
        }
    }
}

/// The folder that holds `path`.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
