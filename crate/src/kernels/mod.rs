//! What is hot and ours: one Rust binding a shader of `shaders/`, same stem, with its plain-tensor reference.
//!
//! A kernel is a function of tensors. On a GPU it launches the shader through Burn's extension point, on the CPU it is a loop
//! of [`cpu`] if there is one, elsewhere its reference; all are compared over ragged shapes in `crate/tests/kernels.rs`.

pub mod attention;
mod check;
pub mod conv2d;
#[cfg(feature = "cpu")]
pub mod cpu;
pub mod layer_norm;
pub mod linear;
mod matmul;
#[cfg(feature = "gpu")]
pub mod norm_modulate;
pub mod qk_norm_rope;
pub mod rms_norm_modulate;
#[cfg(feature = "gpu")]
mod shader;
mod spread;
mod stock;
mod switch;
mod watch;

pub use attention::attention;
pub use check::{Comparison, check, compare, wrong_numbers};
pub use conv2d::conv2d;
pub use layer_norm::{layer_norm, layer_norm_modulate};
pub use linear::{End, Gates, QuantMatrix, dense_linear, quant_linear};
pub use matmul::matmul;
pub use qk_norm_rope::qk_norm_rope;
pub use rms_norm_modulate::rms_norm_modulate;
pub use spread::{spread, trains_on_gpu};
pub use switch::Stock;
pub use watch::{KernelTime, timed};

use burn::tensor::Device;

use crate::quant::Format;

/// Whether the shaders run on this device: on GPUs, unless [`Stock`] is on.
pub fn run_on(device: &Device) -> bool {
    is_gpu(device) && !switch::is_on()
}

/// Whether products on this device take a matrix of this format as it is stored: not where it is trained, nor while
/// [`Stock`] is on.
pub fn take_packed(format: Format, device: &Device) -> bool {
    !device.is_autodiff() && !switch::is_on() && QuantMatrix::takes(format, is_gpu(device))
}

fn is_gpu(device: &Device) -> bool {
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
    return [
        attention::launches(),
        conv2d::launches(),
        linear::launches(),
        norm_modulate::launches(),
        qk_norm_rope::launches(),
    ]
    .iter()
    .sum();
    #[cfg(not(feature = "gpu"))]
    0
}

/// The complete source of every variant of every shader, by name: for checks that need no GPU.
#[cfg(feature = "gpu")]
pub fn sources() -> Vec<(String, String)> {
    [attention::sources(), conv2d::sources(), linear::sources(false), norm_modulate::sources(), qk_norm_rope::sources()]
        .concat()
}

/// Those for devices that multiply f16, which others do not compile.
#[cfg(feature = "gpu")]
pub fn sources_in_half() -> Vec<(String, String)> {
    linear::sources(true)
}
