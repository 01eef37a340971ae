//! Latents to what people see (and back, for training and editing).

pub mod griffin_lim;
pub mod mel;
mod tiling;
pub mod vae;
pub mod vae_blocks;
