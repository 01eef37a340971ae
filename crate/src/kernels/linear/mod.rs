//! x Wᵀ + b and what often follows it, for a dense W and for one that stays quantized: its codes are expanded where they
//! are multiplied.

#[cfg(feature = "gpu")]
mod gpu;
mod quant_matrix;
#[cfg(feature = "gpu")]
mod tile;

use std::ops::Range;

use burn::tensor::{Tensor, activation::silu};

use super::{spread, spread::groups, stock, trains_on_gpu};

#[cfg(feature = "gpu")]
pub use gpu::{dense, launches, quantized, sources};
pub use quant_matrix::QuantMatrix;
#[cfg(feature = "gpu")]
pub use tile::{Arithmetic, Tile, Way};

/// What becomes of a product z `[M, N]` where it is written.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "handles of tensors, which live for one call")]
pub enum End {
    /// It is the result.
    Plain,
    /// `other + gates · z`: the end of a residual branch.
    Residual {
        /// What the branch began with, `[M, N]`.
        other: Tensor<2>,
        /// What the branch is multiplied with.
        gates: Gates,
    },
    /// `silu(other) · z`, other `[M, N]`: the gate of a feed-forward layer.
    Gated(Tensor<2>),
    /// `silu(z)`, or `silu(other + z)`, other `[M, N]`: what conditions a network.
    Silu(Option<Tensor<2>>),
}

/// A gate for every column, in each row of a batch: of the vectors that a conditioning vector sets.
#[derive(Clone, Debug)]
pub struct Gates {
    /// `[B, P, N]`
    pub parts: Tensor<3>,
    /// Which of the P vectors they are.
    pub which: usize,
}

impl Gates {
    /// They alone, `[B, 1, N]`.
    pub fn vectors(&self) -> Tensor<3> {
        self.parts.clone().narrow(1, self.which, 1) // [B, 1, N]
    }
}

impl End {
    /// The end of these columns of z alone.
    pub fn columns(&self, columns: Range<usize>) -> Self {
        let cut = |x: &Tensor<2>| x.clone().narrow(1, columns.start, columns.len()); // [M, columns]
        match self {
            Self::Plain => Self::Plain,
            Self::Residual { other, gates } => {
                let parts = gates.parts.clone().narrow(2, columns.start, columns.len()); // [B, P, columns]
                Self::Residual { other: cut(other), gates: Gates { parts, which: gates.which } }
            }
            Self::Gated(other) => Self::Gated(cut(other)),
            Self::Silu(other) => Self::Silu(other.as_ref().map(cut)),
        }
    }

    /// By plain tensor operations.
    pub fn apply(self, z: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Plain => z,
            Self::Residual { other, gates } => {
                let ([rows, columns], [batch, ..]) = (z.dims(), gates.parts.dims());
                let z = z.reshape([batch, rows / batch, columns]); // [B, M / B, N]
                other + (gates.vectors() * z).reshape([rows, columns]) // [M, N]
            }
            Self::Gated(other) => silu(other) * z,
            Self::Silu(None) => silu(z),
            Self::Silu(Some(other)) => silu(other + z),
        }
    }
}

/// x `[M, cols]` times the transpose of W `[rows, cols]`, plus b `[rows]`, and what `end` makes of it: `[M, rows]`.
pub fn quant_linear(x: Tensor<2>, w: &QuantMatrix, b: Option<Tensor<1>>, end: End) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) {
        return gpu::quantized(x, w, b, end, None);
    }
    #[cfg(feature = "cpu")]
    if let Some(y) = super::cpu::codes::quant_linear(&x, w, b.as_ref(), &end) {
        return y;
    }
    reference(x, w, b, end)
}

/// [`quant_linear`] by plain tensor operations.
pub fn reference(x: Tensor<2>, w: &QuantMatrix, b: Option<Tensor<1>>, end: End) -> Tensor<2> {
    dense_reference(x, w.dequantize(), b, end)
}

/// x `[M, K]` times the transpose of W `[N, K]`, plus b `[N]`, and what `end` makes of it: `[M, N]`.
pub fn dense_linear(x: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>, end: End) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) {
        return gpu::dense(x, w, b, end, None);
    }
    #[cfg(feature = "cpu")]
    if let Some(y) = super::cpu::linear::dense_linear(&x, &w, b.as_ref(), &end) {
        return y;
    }
    dense_reference(x, w, b, end)
}

/// [`dense_linear`] by plain tensor operations.
pub fn dense_reference(x: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>, end: End) -> Tensor<2> {
    if trains_on_gpu(&x.device()) {
        return end.apply(in_groups(x, w, b));
    }
    let z = stock::matmul(x, w.transpose());
    let z = match b {
        Some(b) => z + b.unsqueeze::<2>(), // [1, N]
        None => z,
    };
    end.apply(z)
}

/// x Wᵀ + b of groups of rows side by side, so that the gradients of W and b, sums over all rows, are many short ones.
fn in_groups(x: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>) -> Tensor<2> {
    let ([rows, inputs], [outputs, _]) = (x.dims(), w.dims());
    let groups = groups(rows);
    let x = x.reshape([groups, rows / groups, inputs]); // [G, M / G, K]
    let z = stock::matmul(x, w.transpose().unsqueeze());
    let z = match b {
        Some(b) => z + spread(b, groups).unsqueeze_dim(1), // [G, 1, N]
        None => z,
    };
    z.reshape([rows, outputs]) // [M, N]
}
