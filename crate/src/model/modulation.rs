//! Adaptive layer norm: shifts, scales and gates that the conditioning vector sets.

use burn::{
    module::Module,
    tensor::{Tensor, activation::silu},
};

use crate::{
    nn::linear::Linear,
    weights::params::{Init, Params},
};

/// `chunkN(Linear(SiLU(a)))`, each part `[B, 1, D]` (`adaLN_modulation`). Starts at zero.
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

    /// The conditioning vector `[B, E]` to `count` vectors `[B, count, D]`.
    pub fn parts(&self, conditioning: Tensor<2>, count: usize) -> Tensor<3> {
        let all = self.linear.forward(silu(conditioning)); // [B, count·D]
        let [batch, width] = all.dims();
        all.reshape([batch, count, width / count]) // [B, count, D]
    }

    /// [`Self::parts`] one by one, each `[B, 1, D]`.
    pub fn forward<const N: usize>(&self, conditioning: Tensor<2>) -> [Tensor<3>; N] {
        let parts = self.parts(conditioning, N);
        std::array::from_fn(|part| parts.clone().narrow(1, part, 1))
    }
}

/// `x · (1 + scale) + shift`; Next-DiT shifts nothing.
pub fn modulate(x: Tensor<3>, shift: Option<Tensor<3>>, scale: Tensor<3>) -> Tensor<3> {
    let x = x * (scale + 1.0);
    match shift {
        Some(shift) => x + shift,
        None => x,
    }
}
