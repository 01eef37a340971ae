//! One transformer block.

use burn::{module::Module, tensor::Tensor};

use super::{
    FlagDitConfig, Variant,
    attention::{CaptionKeys, JointAttention},
    feed_forward::FeedForward,
    modulation::Modulation,
    sequence::Sequence,
};
use crate::{
    kernels::{Gates, rms_norm_modulate::Adaptation},
    nn::norm::RmsNorm,
    weights::params::Params,
};

/// Attention and feed-forward, each normed, modulated on the way in and gated on the way out. Next-DiT norms what comes
/// out, too (sandwich norms), and gates by the tanh.
#[derive(Module, Debug)]
pub struct Block {
    /// Self-attention and the caption's.
    pub attention: JointAttention,
    /// SwiGLU.
    pub feed_forward: FeedForward,
    /// Before attention; without parameters in a Next-DiT of labels.
    pub attention_norm: RmsNorm,
    /// Before the feed-forward layer; the same.
    pub ffn_norm: RmsNorm,
    /// Over what comes out of attention, in Next-DiT.
    pub attention_post_norm: Option<RmsNorm>,
    /// Over what comes out of the feed-forward layer, in Next-DiT.
    pub ffn_post_norm: Option<RmsNorm>,
    /// Over the caption's features.
    pub attention_y_norm: Option<RmsNorm>,
    /// Shift, scale and gate for attention, then for the feed-forward layer; Next-DiT has no shifts.
    pub modulation: Modulation,
    is_next: bool,
}

/// What the conditioning vector sets for one of a block's two halves.
#[derive(Clone)]
pub(crate) struct Adaptive {
    /// On the way in.
    pub enter: Adaptation,
    /// On the way out.
    pub gates: Gates,
}

impl Block {
    /// As `config` has it.
    pub fn new(config: &FlagDitConfig, params: &Params) -> Self {
        let norm = |width, name| RmsNorm::new(width, config.norm_eps, &params.child(name));
        let is_next = config.variant == Variant::Next;
        let before = |name| match (is_next, config.num_classes) {
            (true, Some(_)) => RmsNorm::plain(config.norm_eps),
            _ => norm(config.dim, name),
        };
        let behind = |name| is_next.then(|| norm(config.dim, name));
        let parts = config.modulation_parts();
        Self {
            attention: JointAttention::new(config, &params.child("attention")),
            feed_forward: FeedForward::new(config.dim, config.ffn_dim(), &params.child("feed_forward")),
            attention_norm: before("attention_norm"),
            ffn_norm: before("ffn_norm"),
            attention_post_norm: behind("attention_post_norm"),
            ffn_post_norm: behind("ffn_post_norm"),
            attention_y_norm: config.num_classes.is_none().then(|| norm(config.cap_feat_dim, "attention_y_norm")),
            modulation: Modulation::new(config.conditioning_dim(), config.dim, parts, &params.child("modulation")),
            is_next,
        }
    }

    /// What [`Self::forward`] needs of the caption's features `[B, T, C]` and its mask's bias `[B, 1, 1, T]`; nothing in a
    /// model of labels.
    pub fn caption_keys(&self, features: Tensor<3>, bias: Tensor<4>) -> Option<CaptionKeys> {
        let norm = self.attention_y_norm.as_ref()?;
        self.attention.caption_keys(norm.forward(features), bias)
    }

    /// x `[B, N, D]`, the conditioning vector's silu `[B, E]` and the caption to `[B, N, D]`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        conditioning: Tensor<2>,
        sequence: &Sequence,
        caption: Option<&CaptionKeys>,
    ) -> Tensor<3> {
        let [first, second] = self.adaptive(conditioning);
        let h = self.attention_norm.modulated(x.clone(), first.enter);
        let h = self.attention.heads(h, sequence, caption);
        self.rest(x, h, first.gates, second)
    }

    /// [`Self::forward`] of the spans of a stream, one after another.
    pub fn forward_spans(
        &self,
        mut spans: Vec<Tensor<3>>,
        conditioning: Tensor<2>,
        sequence: &Sequence,
        caption: Option<&CaptionKeys>,
    ) -> Vec<Tensor<3>> {
        if spans.len() == 1 {
            return vec![self.forward(spans.remove(0), conditioning, sequence, caption)];
        }
        let [first, second] = self.adaptive(conditioning);
        let normed = spans.iter().map(|x| self.attention_norm.modulated(x.clone(), first.enter.clone())).collect();
        let heads = self.attention.heads_of_spans(normed, sequence, caption);
        let rest = |(x, h)| self.rest(x, h, first.gates.clone(), second.clone());
        spans.into_iter().zip(heads).map(rest).collect()
    }

    /// What follows on the heads of attention: all that a token does by itself.
    fn rest(&self, x: Tensor<3>, heads: Tensor<3>, gates: Gates, second: Adaptive) -> Tensor<3> {
        let x = match &self.attention_post_norm {
            Some(norm) => x + gates.vectors() * norm.forward(self.attention.wo.forward(heads)),
            None => self.attention.wo.residual(heads, x, gates),
        };
        let h = self.ffn_norm.modulated(x.clone(), second.enter);
        match &self.ffn_post_norm {
            Some(norm) => x + second.gates.vectors() * norm.forward(self.feed_forward.forward(h)),
            None => self.feed_forward.residual(h, x, second.gates),
        }
    }

    /// What the conditioning vector's silu `[B, E]` sets for attention and for the feed-forward layer.
    pub(crate) fn adaptive(&self, conditioning: Tensor<2>) -> [Adaptive; 2] {
        let has_shift = !self.is_next;
        let half = if has_shift { 3 } else { 2 }; // Shift, where there is one, scale, gate.
        let parts = self.modulation.parts(conditioning, 2 * half);
        [0, half].map(|first| {
            let scale = first + half - 2;
            let gates = Gates { parts: parts.clone(), which: scale + 1 };
            Adaptive {
                enter: Adaptation { parts: parts.clone(), scale, shift: has_shift.then_some(first) },
                gates: if self.is_next { Gates { parts: gates.vectors().tanh(), which: 0 } } else { gates },
            }
        })
    }
}
