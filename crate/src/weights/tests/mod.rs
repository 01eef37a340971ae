//! A small model in memory, which the tests read, damage and read again.

mod damaged_manifest;
mod damaged_shards;
mod read_ahead;
mod round_trip;

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::quant::Format;
use crate::quant::tests::Random;
use crate::weights::digest::FileDigest;
use crate::weights::{MANIFEST, Manifest, Memory, Reader, Writer};

/// All sources here answer at once, so waiting is asking again.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Name, shape and format of the tensors of [`small_model`].
const TENSORS: [(&str, &[usize], Format); 9] = [
    ("text.embedding", &[50, 40], Format::Q8B32),
    ("denoiser.conv", &[6, 3, 3, 3], Format::Q4B32),
    ("denoiser.layers.0.wq", &[5, 70], Format::Q4B32),
    ("denoiser.layers.0.wk", &[4, 64], Format::Q4AB32),
    ("denoiser.norm", &[6], Format::F16),
    ("denoiser.odd", &[3], Format::F16),
    ("denoiser.scalar", &[], Format::F32),
    ("decoders.image.in", &[2, 2], Format::F32),
    ("decoders.image.out", &[2, 1, 3], Format::F16),
];

const DENOISER: &str = "denoiser-00001.safetensors";

/// A manifest without files and tensors.
fn bare_manifest() -> Manifest {
    let component = json!({ "architecture": "none", "config": { "width": 8 } });
    serde_json::from_value(json!({
        "format": "flagdit", "version": 1, "name": "small", "license": "MIT", "created_by": "test",
        "modalities": ["image"],
        "sizes": { "image": { "native": [64, 64], "multiple": 16, "max": [256, 128] } },
        "components": {
            "denoiser": component,
            "text": { "architecture": "none", "config": {}, "tokenizer": "text/tokenizer.json" },
            "decoders": { "image": component },
        },
        "sampling": { "image": { "steps": 20, "solver": "midpoint", "guidance": 4.0, "time_shift": 4.0 } },
        "recipe": [{ "pattern": "*.wq", "format": "q4b32" }],
        "files": [], "tensors": {},
    }))
    .unwrap()
}

fn values(name: &str, count: usize) -> Vec<f32> {
    let mut random = Random(name.len() as u64);
    (0..count).map(|_| random.uniform()).collect()
}

fn write_small_model(target: &Path) -> Result<Manifest> {
    let mut writer = Writer::new(target)?;
    writer.add_file("text/tokenizer.json", b"{}")?;
    for (name, shape, format) in TENSORS {
        writer.add(name, shape, &values(name, shape.iter().product()), format)?;
    }
    writer.finish(bare_manifest())
}

/// A model whose manifest can be edited as JSON and whose files as bytes.
#[derive(Clone)]
struct Model {
    manifest: Value,
    files: BTreeMap<String, Vec<u8>>,
}

fn small_model() -> Model {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let manifest = write_small_model(&target).unwrap();
    let read = |path: &String| (path.clone(), std::fs::read(target.join(path)).unwrap());
    let files = manifest.files.iter().map(|file| read(&file.path)).collect();
    let manifest = serde_json::from_slice(&std::fs::read(target.join(MANIFEST)).unwrap()).unwrap();
    Model { manifest, files }
}

impl Model {
    fn memory(&self) -> Memory {
        let mut files = self.files.clone();
        files.insert(MANIFEST.into(), self.manifest.to_string().into_bytes());
        Memory { files }
    }

    fn open(&self) -> Result<Reader> {
        block_on(Reader::open(Rc::new(self.memory())))
    }

    /// Why the model does not open.
    fn refusal(&self) -> Error {
        match self.open() {
            Ok(_) => panic!("a damaged model was opened"),
            Err(error) => error,
        }
    }

    /// Replaces a file and makes the manifest's length and hashes those of the new one.
    fn replace(&mut self, path: &str, bytes: Vec<u8>) {
        let mut digest = FileDigest::default();
        digest.update(&bytes);
        let (length, sha256, chunks) = digest.finish();
        let files = self.manifest["files"].as_array_mut().unwrap();
        let entry = files.iter_mut().find(|file| file["path"] == path).unwrap();
        *entry = json!({ "path": path, "bytes": length, "sha256": sha256, "chunks": chunks });
        self.files.insert(path.into(), bytes);
    }
}

/// A shard with any header.
fn shard(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}
