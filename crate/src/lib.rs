//! `flagdit`: text to images, videos, 3D views and sound with a quantized Flag-DiT, on the GPU or the CPU.
#![warn(missing_docs)]

#[cfg(feature = "engine")]
pub mod bench;
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod check;
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod convert;
#[cfg(feature = "engine")]
pub mod decode;
#[cfg(feature = "engine")]
pub mod device;
pub mod error;
#[cfg(feature = "engine")]
pub mod kernels;
#[cfg(feature = "engine")]
pub mod modality;
#[cfg(feature = "engine")]
pub mod model;
#[cfg(feature = "engine")]
pub mod nn;
pub mod output;
#[cfg(feature = "engine")]
pub mod parts;
#[cfg(feature = "engine")]
pub mod pipeline;
#[cfg(feature = "engine")]
pub mod plan;
pub mod progress;
pub mod quant;
pub mod request;
#[cfg(feature = "engine")]
pub mod sampler;
#[cfg(feature = "engine")]
pub mod text;
#[cfg(all(feature = "web", target_family = "wasm"))]
pub mod wasm;
pub mod weights;

#[cfg(feature = "engine")]
pub use device::Device;
#[cfg(feature = "engine")]
pub use pipeline::Pipeline;
pub use request::Request;
