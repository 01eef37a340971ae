//! Tells from the waveform alone whether a sound is what its caption asks for.
//!
//! Nothing that measures knows the synthesiser: frequencies, ratios and thresholds are the judge's own. Only [`list`],
//! which writes the captions down once, and the tests draw from the world.

mod expectation;
mod frames;
pub mod list;
mod loudness;
mod measure;
mod pattern;
mod score;
mod table;
#[cfg(test)]
mod tests;
mod timbre;

pub use expectation::SoundExpectation;
pub use measure::{SoundMeasurement, measure};
pub use score::{SoundVerdict, score};
pub use table::SoundTable;
