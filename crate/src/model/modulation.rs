//! Adaptive layer norm: shifts, scales and gates that the conditioning vector sets.

use burn::{module::Module, tensor::Tensor};

use crate::{
    nn::linear::Linear,
    weights::params::{Init, Params},
};

/// `chunkN(Linear(SiLU(a)))`, each part `[B, 1, D]` (`adaLN_modulation`); all of a model's begin with the same SiLU(a), which
/// is therefore computed before. Starts at zero.
#[derive(Module, Debug)]
pub struct Modulation {
    /// E to N · D.
    pub linear: Linear,
}

impl Modulation {
    /// `parts` vectors of width `width` from a conditioning vector of width `conditioning`.
    pub fn new(conditioning: usize, width: usize, parts: usize, params: &Params) -> Self {
        Self { linear: Linear::new(conditioning, parts * width, Init::Zeros, &params.child("linear")) }
    }

    /// The conditioning vector's silu `[B, E]` to `count` vectors `[B, count, D]`.
    pub fn parts(&self, conditioning: Tensor<2>, count: usize) -> Tensor<3> {
        let all = self.linear.forward(conditioning); // [B, count·D]
        let [batch, width] = all.dims();
        all.reshape([batch, count, width / count]) // [B, count, D]
    }
}
