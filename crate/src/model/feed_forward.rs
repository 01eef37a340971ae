//! SwiGLU.

use burn::{
    module::Module,
    tensor::{Tensor, activation::silu},
};

use crate::{
    nn::linear::Linear,
    weights::params::{Init, Params},
};

/// `W2 (silu(W1 x) · W3 x)`.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// D to the feed-forward width, through SiLU.
    pub w1: Linear,
    /// Back to D.
    pub w2: Linear,
    /// D to the feed-forward width, the gate's other side.
    pub w3: Linear,
}

impl FeedForward {
    /// Width `dim`, inner width `hidden`.
    pub fn new(dim: usize, hidden: usize, params: &Params) -> Self {
        let linear = |input, output, name| Linear::without_bias(input, output, Init::Xavier, &params.child(name));
        Self { w1: linear(dim, hidden, "w1"), w2: linear(hidden, dim, "w2"), w3: linear(dim, hidden, "w3") }
    }

    /// `[B, N, D]` to `[B, N, D]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.w2.forward(silu(self.w1.forward(x.clone())) * self.w3.forward(x))
    }
}
