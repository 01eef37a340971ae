//! Bytes → parameters: a model folder is a `manifest.json` and ordinary `.safetensors` shards.
//!
//! [`source`] says where bytes come from (a folder, memory, a browser's fetch). [`manifest`] says what a model consists
//! of, [`header`] what lies in a shard; both refuse whatever is not exactly as it should be, before anything is
//! allocated for it. [`Reader`] brings them together and hands out one tensor at a time, every byte checked against
//! its chunk's SHA-256. [`Writer`] makes such a folder of what [`Packing`] has made of numbers.

mod ahead;
mod check;
#[cfg(not(target_family = "wasm"))]
pub mod checkpoint;
mod digest;
#[cfg(feature = "engine")]
mod expand;
pub mod header;
#[cfg(feature = "engine")]
mod init;
mod json;
pub mod manifest;
mod opening;
mod packed;
#[cfg(feature = "engine")]
pub mod params;
mod path;
#[cfg(feature = "engine")]
mod placement;
mod places;
mod reader;
pub mod recipe;
mod shard;
pub mod source;
mod stored;
#[cfg(test)]
mod tests;
pub mod upstream;
mod validate;
mod verified;
mod writer;

pub use digest::CHUNK_BYTES;
pub use manifest::Manifest;
pub use opening::read_manifest;
pub use packed::{Packed, Packing};
#[cfg(feature = "engine")]
pub use placement::Placement;
pub use reader::{DenseTensor, RawData, RawTensor, Reader};
pub use source::{BlockingSource, ByteSource, Folder, LocalFuture, Memory, folder};
pub use writer::Writer;

/// A model's identity: the SHA-256 of the text of its manifest, which pins every byte of it.
pub fn identity(manifest: &[u8]) -> String {
    digest::sha256_hex(manifest)
}

/// The name of the manifest in a model folder.
pub const MANIFEST: &str = "manifest.json";
