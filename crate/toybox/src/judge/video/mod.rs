//! Tells from the frames' pixels alone whether a clip shows what its caption asks for.
//!
//! As for pictures, nothing that measures knows the renderer. Only [`list`], which writes the captions down once, and
//! the tests draw from the world.

mod expectation;
pub mod list;
mod measure;
mod motion;
mod score;
mod table;
#[cfg(test)]
mod tests;
mod track;

pub use expectation::VideoExpectation;
pub use measure::{VideoMeasurement, measure};
pub use score::{Verdict, score};
pub use table::Table;
