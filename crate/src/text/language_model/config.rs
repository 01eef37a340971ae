//! What `config.json` says of a language model.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    nn::norm::RmsNorm,
    weights::params::Params,
};

/// The shape of the language model, with the names of transformers' `config.json` (others are ignored).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LanguageModelConfig {
    /// Which family.
    #[serde(default)]
    pub model_type: ModelType,
    /// Tokens the embedding table holds.
    pub vocab_size: usize,
    /// Width C.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; absent: as many as query heads.
    #[serde(default)]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head; absent: hidden size over query heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// ε of the RMS norms.
    pub rms_norm_eps: f64,
    /// RoPE's base.
    #[serde(default = "rope_theta")]
    pub rope_theta: f64,
}

/// A family of decoders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    /// LLaMA: SiLU, norms with w.
    #[default]
    Llama,
    /// Gemma: tanh-GELU, norms with 1 + w, embeddings times √C.
    Gemma,
}

fn rope_theta() -> f64 {
    10_000.0
}

impl LanguageModelConfig {
    pub(super) fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    pub(super) fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    pub(super) fn norm(&self, params: &Params) -> RmsNorm {
        let (width, epsilon) = (self.hidden_size, self.rms_norm_eps);
        match self.model_type {
            ModelType::Llama => RmsNorm::new(width, epsilon, params),
            ModelType::Gemma => RmsNorm::offset(width, epsilon, params),
        }
    }

    /// Refuses what cannot be built, before anything is allocated for it.
    ///
    /// # Errors
    ///
    /// `bad-model` that names the field.
    pub fn check(&self) -> Result<()> {
        let field = |name: &str| Error::bad_model(format!("text encoder configuration, {name}"));
        let bounded = [
            ("vocab_size", self.vocab_size, 1 << 20),
            ("hidden_size", self.hidden_size, 16_384),
            ("intermediate_size", self.intermediate_size, 65_536),
            ("num_hidden_layers", self.num_hidden_layers, 256),
            ("num_attention_heads", self.num_attention_heads, 256),
            ("num_key_value_heads", self.kv_heads(), 256),
            ("head_dim", self.head_dim.unwrap_or(1), 1024),
        ];
        for (name, value, most) in bounded {
            if value == 0 || value > most {
                return Err(field(name).expected(format!("1 to {most}")).found(value.to_string()));
            }
        }
        let is_even = self.head_dim().is_multiple_of(2);
        if !is_even || self.head_dim.is_none() && !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("heads of an even width that divide hidden_size {}", self.hidden_size);
            return Err(field("num_attention_heads").expected(expected).found(self.num_attention_heads.to_string()));
        }
        if !self.num_attention_heads.is_multiple_of(self.kv_heads()) {
            let expected = format!("a divisor of num_attention_heads {}", self.num_attention_heads);
            return Err(field("num_key_value_heads").expected(expected).found(self.kv_heads().to_string()));
        }
        for (name, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(field(name).expected("a number above 0").found(value.to_string()));
            }
        }
        Ok(())
    }
}
