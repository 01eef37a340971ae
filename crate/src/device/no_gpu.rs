//! Built without the feature `gpu`: there are none.

use std::convert::Infallible;

use super::adapter::Adapter;

/// How a GPU is opened; no such thing exists here.
#[derive(Debug, Clone)]
pub struct Handle(Infallible);

impl Handle {
    pub async fn open(&self) -> Result<burn::tensor::Device, String> {
        match self.0 {}
    }
}

/// None.
pub async fn adapters() -> Vec<Adapter> {
    Vec::new()
}
