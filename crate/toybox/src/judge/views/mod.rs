//! Tells from the pixels alone whether a set of views shows the solid that its caption asks for, once, from all sides.
//!
//! Like the judge of pictures it measures without the renderer: it has its own idea of the eight solids and of where the
//! light is. Only [`list`], which writes the captions down once, and the tests draw from the world.

mod azimuth;
mod expectation;
pub mod hull;
pub mod list;
mod measure;
mod outline;
mod score;
mod table;
mod templates;
#[cfg(test)]
mod tests;

pub use expectation::ViewsExpectation;
pub use measure::{ViewsMeasurement, measure};
pub use score::{ViewsVerdict, score};
pub use table::ViewsTable;
