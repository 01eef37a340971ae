//! The trainer: autoencoder first, then text encoder and Flag-DiT together, from one recipe and one seed.

pub mod autoencoder;
pub mod batches;
mod captions;
pub mod checkpoint;
pub mod curve;
pub mod decoder;
pub mod denoiser;
#[cfg(test)]
mod gpu_tests;
mod groups;
pub mod init;
pub mod latents;
mod muon;
pub mod optimizer;
pub mod parallel;
pub mod progress;
pub mod recipe;
pub mod reconstruct;
pub mod schedule;
#[cfg(test)]
mod tests;
mod walk;
