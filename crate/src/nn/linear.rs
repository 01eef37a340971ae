//! The linear layer: the only place where a network meets quantization.
//!
//! Quantized weights are expanded to f32 once, at load ([`crate::weights::reader`]), on every device; a kernel
//! that multiplies by the codes themselves replaces that here, and nowhere else.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::weights::params::{Init, Params};

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// W, `[out, in]`, as PyTorch and the shards have it.
    pub weight: Param<Tensor<2>>,
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
        Self { weight: params.tensor("weight", [output, input], init), bias: None }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let weight = self.weight.val();
        let [output, input] = weight.dims();
        let mut shape = x.dims();
        let rows = shape[..D - 1].iter().product::<usize>();
        shape[D - 1] = output;
        // One product of two matrices, whatever the batch: backends are quickest there.
        let y = x.reshape([rows, input]).matmul(weight.transpose()); // [rows, out]
        let y = match &self.bias {
            Some(bias) => y + bias.val().unsqueeze::<2>(),
            None => y,
        };
        y.reshape(shape) // [.., out]
    }
}
