//! Tells from the pixels alone whether a picture shows what its caption asks for.
//!
//! Nothing that measures knows the renderer: colours, shapes and thresholds are the judge's own. Only [`list`], which
//! writes the captions down once, and the tests draw from the world.

mod expectation;
pub mod lines;
pub mod list;
mod measure;
mod palette;
mod score;
mod segment;
pub mod sound;
mod table;
mod templates;
#[cfg(test)]
mod tests;
pub mod video;
pub mod views;

pub use expectation::{Expectation, ExpectedObject};
pub use measure::{Measurement, measure};
pub use score::{Verdict, score};
pub use table::Table;
