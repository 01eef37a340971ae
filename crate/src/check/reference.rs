//! The folder that a check is made against.

use std::{collections::BTreeMap, path::Path};

use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    parts::{DENOISER, IMAGE_DECODER, TEXT},
    weights::checkpoint::{read_json, read_whole},
};

/// Inputs and outputs of a network are small beside its weights.
const MAX_IO_BYTES: u64 = 1 << 30;
const IO: &str = "io.safetensors";
/// How it was called; where that name belongs to a format of upstream's, [`CASE`] says more.
const CONFIG: &str = "config.json";
const CASE: &str = "case.json";

/// A stored tensor. Integers (masks, ids, pixels) are small enough to be exact as f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// What a reference implementation was given, and what it made of it.
#[derive(Debug, Clone)]
pub struct Reference {
    name: String,
    tensors: BTreeMap<String, Stored>,
    calls: Map<String, Value>,
}

impl Reference {
    /// Reads the reference in `folder`.
    ///
    /// # Errors
    ///
    /// `file` for what cannot be read, `bad-model` for what is no safetensors file or no JSON.
    pub fn open(folder: &Path) -> Result<Self> {
        let object = |path: &Path| read_json::<Map<String, Value>>(path, "an object in JSON");
        let mut calls = object(&folder.join(CONFIG))?;
        let more = folder.join(CASE);
        if more.is_file() {
            calls.extend(object(&more)?);
        }
        let path = folder.join(IO);
        let bytes = read_whole(&path, MAX_IO_BYTES)?;
        let subject = || path.display().to_string();
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|error| Error::bad_model(subject()).expected("a safetensors file").found(error.to_string()))?;
        let tensors = file.iter().map(|(name, view)| {
            let values = numbers(view.dtype(), view.data()).ok_or_else(|| {
                Error::bad_model(format!("{}: {name}", subject()))
                    .expected("numbers of type F32, I32, I64 or U8")
                    .found(format!("{:?}", view.dtype()))
            })?;
            Ok((name.to_owned(), Stored { shape: view.shape().to_vec(), values }))
        });
        Ok(Self { name: folder.display().to_string(), tensors: tensors.collect::<Result<_>>()?, calls })
    }

    /// Its path, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stored tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Stored> {
        &self.tensors
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// How it was called: what `config.json` has under `name`, null if nothing.
    pub fn call(&self, name: &str) -> &Value {
        self.calls.get(name).unwrap_or(&Value::Null)
    }

    /// The named calls under `name`, each read as `T`.
    ///
    /// # Errors
    ///
    /// `bad-model` if one is not.
    pub(super) fn calls<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<(String, T)>> {
        let entries = self.call(name).as_object().into_iter().flatten();
        let read = |(key, value): (&String, &Value)| {
            let call = serde_json::from_value(value.clone()).map_err(|error| {
                Error::bad_model(format!("{}/{CONFIG}: {name}.{key}", self.name))
                    .expected("the arguments of a call")
                    .found(error.to_string())
            })?;
            Ok((key.clone(), call))
        };
        entries.map(read).collect()
    }

    /// The runs of a `LuminaPipeline`, if this is about one.
    pub(super) fn runs(&self) -> Option<&Map<String, Value>> {
        self.call("runs").as_object()
    }

    /// The components that it is about.
    pub fn components(&self) -> Vec<&'static str> {
        let has = |names: &[&str]| names.iter().any(|name| self.has(name));
        let is_about = [
            (TEXT, has(&["input_ids"])),
            (DENOISER, has(&["x", "cfg_x", "list_x_0"])),
            (IMAGE_DECODER, has(&["image_0", "latent_0", "legacy_image_0", "legacy_latent_0"])),
        ];
        let all = self.runs().is_some();
        is_about.into_iter().filter_map(|(name, is_there)| (all || is_there).then_some(name)).collect()
    }
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f32) -> Option<Vec<f32>> {
        Some(bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect())
    }
    match dtype {
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::I32 => each(bytes, |bytes| i32::from_le_bytes(bytes) as f32),
        Dtype::I64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f32),
        Dtype::U8 => each(bytes, |[byte]| f32::from(byte)),
        _ => None,
    }
}
