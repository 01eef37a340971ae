//! The Flag-DiT of Lumina-T2X: a flow-based diffusion transformer over latent patches.
//!
//! Read [`flag_dit`] first; it calls the other files in the order in which they run.

pub mod attention;
pub mod block;
pub mod condition;
pub mod config;
pub mod embedders;
pub mod feed_forward;
pub mod final_layer;
pub mod flag_dit;
pub mod layout;
pub mod modulation;
pub mod patches;
pub mod sequence;
mod spans;

pub use condition::{Caption, Condition, PreparedCaption};
pub use config::{AudioPatch, FlagDitConfig, Patch, Prediction, Variant};
pub use flag_dit::FlagDit;
pub use layout::{LatentShape, TokenLayout};
pub use sequence::{Sequence, SequenceOptions, TimeAware};
