//! `flagdit`: text to images with a quantized Flag-DiT, on the GPU or the CPU.
#![warn(missing_docs)]

#[cfg(feature = "engine")]
pub mod decode;
pub mod error;
#[cfg(feature = "engine")]
pub mod model;
#[cfg(feature = "engine")]
pub mod nn;
pub mod quant;
#[cfg(feature = "engine")]
pub mod sampler;
#[cfg(feature = "engine")]
pub mod text;
pub mod weights;
