//! One transformer block.

use burn::{module::Module, tensor::Tensor};

use super::{
    FlagDitConfig,
    attention::{CaptionKeys, JointAttention},
    feed_forward::FeedForward,
    flag_dit::Sequence,
    modulation::{Modulation, modulate},
};
use crate::{nn::norm::RmsNorm, weights::params::Params};

/// Attention and feed-forward, each normed, modulated on the way in and gated on the way out.
#[derive(Module, Debug)]
pub struct Block {
    /// Self-attention and the caption's.
    pub attention: JointAttention,
    /// SwiGLU.
    pub feed_forward: FeedForward,
    /// Before attention.
    pub attention_norm: RmsNorm,
    /// Before the feed-forward layer.
    pub ffn_norm: RmsNorm,
    /// Over the caption's features.
    pub attention_y_norm: RmsNorm,
    /// Shift, scale and gate for attention, then for the feed-forward layer.
    pub modulation: Modulation,
}

impl Block {
    /// As `config` has it.
    pub fn new(config: &FlagDitConfig, params: &Params) -> Self {
        let norm = |width, name| RmsNorm::new(width, config.norm_eps, &params.child(name));
        Self {
            attention: JointAttention::new(config, &params.child("attention")),
            feed_forward: FeedForward::new(config.dim, config.ffn_dim(), &params.child("feed_forward")),
            attention_norm: norm(config.dim, "attention_norm"),
            ffn_norm: norm(config.dim, "ffn_norm"),
            attention_y_norm: norm(config.cap_feat_dim, "attention_y_norm"),
            modulation: Modulation::new(config.conditioning_dim(), config.dim, 6, &params.child("modulation")),
        }
    }

    /// What [`Self::forward`] needs of the caption's features `[B, T, C]` and its mask's bias `[B, 1, 1, T]`.
    pub fn caption_keys(&self, features: Tensor<3>, bias: Tensor<4>) -> CaptionKeys {
        self.attention.caption_keys(self.attention_y_norm.forward(features), bias)
    }

    /// x `[B, N, D]`, the conditioning vector `[B, E]` and the caption to `[B, N, D]`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        conditioning: Tensor<2>,
        sequence: &Sequence,
        caption: &CaptionKeys,
    ) -> Tensor<3> {
        let [shift_1, scale_1, gate_1, shift_2, scale_2, gate_2] = self.modulation.forward(conditioning);
        let h = modulate(self.attention_norm.forward(x.clone()), shift_1, scale_1);
        let x = x + gate_1 * self.attention.forward(h, sequence, caption);
        let h = modulate(self.ffn_norm.forward(x.clone()), shift_2, scale_2);
        x + gate_2 * self.feed_forward.forward(h)
    }
}
