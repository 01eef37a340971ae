//! What the fixtures hold.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

/// Where a fixture lies.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crate/tests/fixtures").join(name)
}

/// The bytes of a fixture's file.
pub fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A fixture's JSON file.
pub fn json(path: &str) -> Value {
    serde_json::from_slice(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A stored tensor. Integers (masks, ids, pixels) are small enough to be exact as f32.
#[derive(Clone)]
pub struct Stored {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// All tensors of a `.safetensors` file.
pub fn tensors(path: &str) -> BTreeMap<String, Stored> {
    let bytes = read(path);
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
    file.iter().map(|(name, view)| (name.to_owned(), stored(&view))).collect()
}

fn stored(view: &TensorView<'_>) -> Stored {
    fn numbers<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
    }
    let values = match view.dtype() {
        Dtype::F32 => numbers(view.data(), f32::from_le_bytes),
        Dtype::I32 => numbers(view.data(), |bytes| i32::from_le_bytes(bytes) as f32),
        Dtype::I64 => numbers(view.data(), |bytes| i64::from_le_bytes(bytes) as f32),
        Dtype::U8 => numbers(view.data(), |[byte]| f32::from(byte)),
        other => panic!("the fixtures hold no {other:?}"),
    };
    Stored { shape: view.shape().to_vec(), values }
}
