//! What tells the kinds of output apart: how a size becomes a latent, and who turns the latent into what people see.

pub mod image;
