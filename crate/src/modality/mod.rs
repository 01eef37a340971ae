//! What the kinds of output differ in: how large they may be, and what their latents become.
//!
//! The denoiser and the sampler know none of it: a kind is a [`LatentShape`](crate::model::LatentShape) to them.

pub mod audio;
pub mod frames;
pub mod image;
