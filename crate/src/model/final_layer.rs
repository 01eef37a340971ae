//! Tokens to patches of velocity.

use burn::{module::Module, tensor::Tensor};

use super::{
    config::{FlagDitConfig, Patch},
    modulation::Modulation,
};
use crate::{
    kernels::{layer_norm_modulate, rms_norm_modulate::Adaptation},
    nn::linear::Linear,
    weights::params::{Init, Params},
};

/// ε of the norm without parameters.
const EPSILON: f64 = 1e-6;

/// `Linear(LayerNorm(x) · (1 + scale) + shift)`, without the shift in a Next-DiT of captions. Starts at zero.
#[derive(Module, Debug)]
pub struct FinalLayer {
    /// D to pH·pW·Cout.
    pub linear: Linear,
    /// Shift, where there is one, and scale.
    pub modulation: Modulation,
    has_shift: bool,
}

impl FinalLayer {
    /// To the values of one patch.
    pub fn new(config: &FlagDitConfig, patch: Patch, params: &Params) -> Self {
        let has_shift = config.has_final_shift();
        let (width, parts) = (config.conditioning_dim(), 1 + usize::from(has_shift));
        Self {
            linear: Linear::new(config.dim, config.out_values(patch), Init::Zeros, &params.child("linear")),
            modulation: Modulation::new(width, config.dim, parts, &params.child("modulation")),
            has_shift,
        }
    }

    /// `[B, N, D]` and the conditioning vector's silu `[B, E]` to `[B, N, pH·pW·Cout]`.
    pub fn forward(&self, x: Tensor<3>, conditioning: Tensor<2>) -> Tensor<3> {
        let scale = usize::from(self.has_shift);
        let parts = self.modulation.parts(conditioning, scale + 1); // [B, 1 or 2, D]
        let adaptation = Adaptation { parts, scale, shift: self.has_shift.then_some(0) };
        self.linear.forward(layer_norm_modulate(x, EPSILON, adaptation))
    }
}
