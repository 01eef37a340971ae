//! What is hot and ours: one Rust binding a shader of `shaders/`, same stem, with its plain-tensor reference.
//!
//! A kernel is a function of tensors. On a GPU it launches the shader through Burn's extension point, elsewhere it is its
//! reference; both are compared over ragged shapes in `crate/tests/kernels.rs`.

pub mod attention;
mod check;
pub mod quant_linear;
#[cfg(feature = "gpu")]
mod shader;

pub use attention::attention;
pub use check::{Comparison, check, compare, wrong_numbers};
pub use quant_linear::{QuantMatrix, quant_linear};

use burn::tensor::Device;

/// Whether the shaders run on this device.
pub fn run_on(device: &Device) -> bool {
    #[cfg(feature = "gpu")]
    return matches!(device.as_dispatch(), burn::backend::DispatchDevice::Cube(_));
    #[cfg(not(feature = "gpu"))]
    {
        let _ = device; // There is no GPU in this build.
        false
    }
}

/// How often shaders of ours were launched in this process.
pub fn launches() -> u64 {
    #[cfg(feature = "gpu")]
    return attention::launches() + quant_linear::launches();
    #[cfg(not(feature = "gpu"))]
    0
}

/// The complete source of every variant of every shader, by name: for checks that need no GPU.
#[cfg(feature = "gpu")]
pub fn sources() -> Vec<(String, String)> {
    [attention::sources(), quant_linear::sources()].concat()
}
