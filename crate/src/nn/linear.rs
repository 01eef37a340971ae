//! The linear layer: the only place where a network meets quantization.
//!
//! A quantized matrix, on a GPU one of halves too, stays as it is stored, and [`kernels::linear`](crate::kernels) multiplies
//! by its codes. For training, and halves on the CPU, it was expanded to f32 once, at load.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{
    kernels::{End, Gates, dense_linear, quant_linear},
    weights::params::{Init, Params, Weight},
};

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// W, `[out, in]`.
    pub weight: Weight,
    /// b, `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// With a bias; weights start as `init`, the bias at zero.
    pub fn new(input: usize, output: usize, init: Init, params: &Params) -> Self {
        let bias = Some(params.tensor("bias", [output], Init::Zeros));
        Self { bias, ..Self::without_bias(input, output, init, params) }
    }

    /// Without a bias.
    pub fn without_bias(input: usize, output: usize, init: Init, params: &Params) -> Self {
        Self { weight: params.matrix("weight", [output, input], init), bias: None }
    }

    /// Output features.
    pub fn outputs(&self) -> usize {
        outputs(&self.weight)
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.product(x, End::Plain)
    }

    /// The end of a residual branch, `other + gates · y` for y `[B, N, out]` of x `[B, N, in]`: other `[B, N, out]`.
    pub fn residual(&self, x: Tensor<3>, other: Tensor<3>, gates: Gates) -> Tensor<3> {
        let [batch, rows, width] = other.dims();
        let other = other.reshape([batch * rows, width]); // [B·N, out]
        self.product(x, End::Residual { other, gates })
    }

    /// Gated by another layer, `silu(other) · y` for y `[B, N, out]` of x `[B, N, in]`: other `[B, N, out]`.
    pub fn gated(&self, x: Tensor<3>, other: Tensor<3>) -> Tensor<3> {
        let [batch, rows, width] = other.dims();
        self.product(x, End::Gated(other.reshape([batch * rows, width]))) // [B·N, out]
    }

    /// `silu(y)` for y `[M, out]` of x `[M, in]`, or `silu(other + y)`, other `[M, out]`.
    pub fn activated(&self, x: Tensor<2>, other: Option<Tensor<2>>) -> Tensor<2> {
        self.product(x, End::Silu(other))
    }

    fn product<const D: usize>(&self, x: Tensor<D>, end: End) -> Tensor<D> {
        let mut shape = x.dims();
        let rows = shape[..D - 1].iter().product::<usize>();
        // One product of two matrices, whatever the batch: backends are quickest there.
        let x = x.reshape([rows, shape[D - 1]]); // [rows, in]
        let bias = self.bias.as_ref().map(Param::val);
        let y = product(x, &self.weight, bias, end); // [rows, out]
        shape[D - 1] = y.dims()[1];
        y.reshape(shape) // [.., out]
    }
}

/// Rows of W.
fn outputs(weight: &Weight) -> usize {
    match weight {
        Weight::Dense(weight) => weight.val().dims()[0],
        Weight::Quantized(matrix) => matrix.shape()[0],
        Weight::Split(pieces) => pieces.iter().map(outputs).sum(),
    }
}

/// x `[rows, in]` to `[rows, out]`.
fn product(x: Tensor<2>, weight: &Weight, bias: Option<Tensor<1>>, end: End) -> Tensor<2> {
    let pieces = match weight {
        Weight::Dense(weight) => return dense_linear(x, weight.val(), bias, end),
        Weight::Quantized(matrix) => return quant_linear(x, matrix, bias, end),
        Weight::Split(pieces) => pieces,
    };
    let mut first = 0;
    let piece = |piece: &Weight| {
        let columns = first..first + outputs(piece);
        first = columns.end;
        let bias = bias.clone().map(|bias| bias.narrow(0, columns.start, columns.len()));
        product(x.clone(), piece, bias, end.columns(columns))
    };
    Tensor::cat(pieces.iter().map(piece).collect(), 1) // [rows, out]
}
