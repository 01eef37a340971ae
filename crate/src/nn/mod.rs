//! What the networks share. Shapes are written in the project's letters: B batch, N tokens, D width, H heads,
//! d head width, C channels.

pub mod attention;
pub mod conv;
pub mod linear;
pub mod norm;
pub mod rope;
