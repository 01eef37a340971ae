//! Tokens to patches of velocity.

use burn::{module::Module, tensor::Tensor};

use super::{
    config::{FlagDitConfig, Patch},
    modulation::{Modulation, modulate},
};
use crate::{
    nn::{linear::Linear, norm::layer_norm_plain},
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

    /// `[B, N, D]` and the conditioning vector `[B, E]` to `[B, N, pH·pW·Cout]`.
    pub fn forward(&self, x: Tensor<3>, conditioning: Tensor<2>) -> Tensor<3> {
        let (shift, scale) = if self.has_shift {
            let [shift, scale] = self.modulation.forward(conditioning);
            (Some(shift), scale)
        } else {
            let [scale] = self.modulation.forward(conditioning);
            (None, scale)
        };
        self.linear.forward(modulate(layer_norm_plain(x, EPSILON), shift, scale))
    }
}
