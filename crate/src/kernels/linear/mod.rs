//! x Wᵀ + b, for a dense W and for one that stays quantized: its codes are expanded where they are multiplied.

#[cfg(feature = "gpu")]
mod gpu;
mod quant_matrix;
mod tile;

use burn::tensor::Tensor;

use super::stock;

#[cfg(feature = "gpu")]
pub use gpu::{dense, launches, quantized, sources};
pub use quant_matrix::QuantMatrix;
pub use tile::Tile;

/// x `[M, cols]` times the transpose of W `[rows, cols]`, plus b `[rows]`: `[M, rows]`.
pub fn quant_linear(x: Tensor<2>, w: &QuantMatrix, b: Option<Tensor<1>>) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) {
        return gpu::quantized(x, w, b, None);
    }
    reference(x, w, b)
}

/// [`quant_linear`] by plain tensor operations.
pub fn reference(x: Tensor<2>, w: &QuantMatrix, b: Option<Tensor<1>>) -> Tensor<2> {
    dense_reference(x, w.dequantize(), b)
}

/// x `[M, K]` times the transpose of W `[N, K]`, plus b `[N]`: `[M, N]`.
pub fn dense_linear(x: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) {
        return gpu::dense(x, w, b, None);
    }
    dense_reference(x, w, b)
}

/// [`dense_linear`] by plain tensor operations.
pub fn dense_reference(x: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>) -> Tensor<2> {
    let y = stock::matmul(x, w.transpose());
    match b {
        Some(b) => y + b.unsqueeze::<2>(), // [1, N]
        None => y,
    }
}
