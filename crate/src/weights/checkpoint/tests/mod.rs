//! Small files as they are downloaded, whole and broken.

mod damaged;
mod folders;
mod torch;
mod torch_file;

use std::path::{Path, PathBuf};

use super::Checkpoint;
use crate::error::Error;

/// Real layouts with random numbers.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crate/tests/fixtures");

fn fixture(path: &str) -> PathBuf {
    Path::new(FIXTURES).join(path)
}

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// The checkpoint that a file of these bytes is.
fn open(bytes: &[u8]) -> Result<Checkpoint, Error> {
    let folder = folder(&[("file", bytes)]);
    Checkpoint::open(&folder.path().join("file"))
}

/// Why a file of these bytes is none, without the name of the file.
fn refusal(bytes: &[u8]) -> String {
    let error = open(bytes).unwrap_err().to_string();
    error.split_once("file: ").expect("the name of the file").1.to_owned()
}

/// A safetensors file with these tensors; all their bytes are zero.
fn safetensors(tensors: &[(&str, &str, &[usize], usize)]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut end = 0;
    for (name, dtype, shape, bytes) in tensors {
        let from = end;
        end += bytes;
        entries.push(format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; end]].concat()
}
