//! Latents to what people see (and back, for training and editing).

pub mod vae;
pub mod vae_blocks;
