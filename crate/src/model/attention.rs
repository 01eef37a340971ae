//! Self-attention over the tokens with gated cross-attention to the caption inside it (`Attention` in
//! `lumina_t2i/models/model.py`; traps in `model.md` §0.5, §0.6).

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use super::{FlagDitConfig, sequence::Sequence};
use crate::{
    nn::{
        attention::{add_attention, attention, attention_to_parts, merge_heads, split_heads},
        linear::Linear,
        norm::LayerNorm,
        rope::Rope,
    },
    weights::params::{Init, Params},
};

/// The caption as one block sees it. The same at every time t, so a run makes it once.
#[derive(Debug, Clone)]
pub struct CaptionKeys {
    /// Normalised, `[B, Hkv, T, d]`.
    pub keys: Tensor<4>,
    /// `[B, Hkv, T, d]`.
    pub values: Tensor<4>,
    /// Which tokens are padding, `[B, 1, 1, T]`.
    pub bias: Tensor<4>,
    /// What the caption's part is multiplied with, `[H]`.
    gates: Tensor<1>,
}

/// The attention of one block. A model of labels has nothing of what belongs to the caption.
#[derive(Module, Debug)]
pub struct JointAttention {
    /// Queries, D to H·d.
    pub wq: Linear,
    /// Keys, D to Hkv·d.
    pub wk: Linear,
    /// Values, D to Hkv·d.
    pub wv: Linear,
    /// Out, H·d to D; shared by both attentions.
    pub wo: Linear,
    /// Caption keys, C to Hkv·d.
    pub wk_y: Option<Linear>,
    /// Caption values, C to Hkv·d.
    pub wv_y: Option<Linear>,
    /// One scalar a head, `[H]`; its tanh scales the caption's part. Starts at zero.
    pub gate: Option<Param<Tensor<1>>>,
    /// Over all query heads together.
    pub q_norm: Option<LayerNorm>,
    /// Over all key heads together.
    pub k_norm: Option<LayerNorm>,
    /// Over all caption key heads together.
    pub ky_norm: Option<LayerNorm>,
    heads: usize,
    kv_heads: usize,
}

impl JointAttention {
    /// As `config` has it.
    pub fn new(config: &FlagDitConfig, params: &Params) -> Self {
        let (dim, caption) = (config.dim, config.cap_feat_dim);
        let kv_width = config.kv_heads() * config.head_dim();
        let linear = |input, output, name| Linear::without_bias(input, output, Init::Xavier, &params.child(name));
        let norm = |width, name| config.qk_norm.then(|| LayerNorm::new(width, 1e-5, &params.child(name)));
        let has_caption = config.num_classes.is_none();
        Self {
            wq: linear(dim, dim, "wq"),
            wk: linear(dim, kv_width, "wk"),
            wv: linear(dim, kv_width, "wv"),
            wo: linear(dim, dim, "wo"),
            wk_y: has_caption.then(|| linear(caption, kv_width, "wk_y")),
            wv_y: has_caption.then(|| linear(caption, kv_width, "wv_y")),
            gate: has_caption.then(|| params.tensor("gate", [config.n_heads], Init::Zeros)),
            q_norm: norm(dim, "q_norm"),
            k_norm: norm(kv_width, "k_norm"),
            ky_norm: has_caption.then(|| norm(kv_width, "ky_norm")).flatten(),
            heads: config.n_heads,
            kv_heads: config.kv_heads(),
        }
    }

    /// Keys and values of the caption's normalised features `[B, T, C]`, with the mask's bias `[B, 1, 1, T]`; none in a model
    /// of labels.
    pub fn caption_keys(&self, features: Tensor<3>, bias: Tensor<4>) -> Option<CaptionKeys> {
        let ((wk_y, wv_y), gate) = self.wk_y.as_ref().zip(self.wv_y.as_ref()).zip(self.gate.as_ref())?;
        let keys = wk_y.forward(features.clone());
        let keys = match &self.ky_norm {
            Some(norm) => norm.forward(keys),
            None => keys,
        };
        let values = wv_y.forward(features);
        let [keys, values] = [keys, values].map(|x| split_heads(x, self.kv_heads)); // [B, Hkv, T, d]
        Some(CaptionKeys { keys, values, bias, gates: gate.val().tanh() })
    }

    /// What the heads saw, `[B, N, D]` of `[B, N, D]`; `wo` is still to follow.
    pub fn heads(&self, x: Tensor<3>, sequence: &Sequence, caption: Option<&CaptionKeys>) -> Tensor<3> {
        let (q, k, v) = self.projections(x, &sequence.rope);
        let own = attention(q.clone(), k, v, sequence.scale, sequence.bias.clone());
        merged(own, q, caption)
    }

    /// [`Self::heads`] of the spans of a stream, one after another, of which each sees all. A sequence in spans has no padding.
    pub fn heads_of_spans(
        &self,
        spans: Vec<Tensor<3>>,
        sequence: &Sequence,
        caption: Option<&CaptionKeys>,
    ) -> Vec<Tensor<3>> {
        let (mut first, mut queries, mut parts) = (0, Vec::new(), Vec::new());
        for x in spans {
            let tokens = x.dims()[1];
            let (q, k, v) = self.projections(x, &sequence.rope.span(first, tokens));
            first += tokens;
            queries.push(q);
            parts.push([k, v]);
        }
        let of_span = |q: Tensor<4>| merged(attention_to_parts(q.clone(), &parts, sequence.scale), q, caption);
        queries.into_iter().map(of_span).collect()
    }

    /// Queries `[B, H, N, d]`, and keys and values `[B, Hkv, N, d]`, of `[B, N, D]`.
    fn projections(&self, x: Tensor<3>, rope: &Rope) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let q = rope.heads(self.wq.forward(x.clone()), self.heads, self.q_norm.as_ref());
        let k = rope.heads(self.wk.forward(x.clone()), self.kv_heads, self.k_norm.as_ref());
        (q, k, split_heads(self.wv.forward(x), self.kv_heads))
    }
}

/// Own attention with the caption's, where there is one: `[B, N, D]`.
fn merged(own: Tensor<4>, q: Tensor<4>, caption: Option<&CaptionKeys>) -> Tensor<3> {
    merge_heads(match caption {
        Some(caption) => add_caption(own, q, caption.clone()),
        None => own,
    })
}

/// The caption's part is added: the same rotated queries; keys without rotation; the plain scale; gated a head.
fn add_caption(own: Tensor<4>, q: Tensor<4>, caption: CaptionKeys) -> Tensor<4> {
    let scale = (q.dims()[3] as f64).powf(-0.5);
    let CaptionKeys { keys, values, bias, gates } = caption;
    add_attention(own, gates, [q, keys, values], scale, Some(bias))
}
