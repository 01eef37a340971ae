//! A decoder of the LLaMA family used as text encoder: LLaMA, whose features are the last hidden state after the final norm
//! (`LlamaModel(input_ids).last_hidden_state`), and Gemma, whose features are what enters the last layer
//! (`GemmaModel(…).hidden_states[-2]`; `model.md` §3).
//!
//! Parameter names are those of transformers without the `model.` prefix.

mod config;

use burn::{
    module::{Module, Param},
    tensor::{
        Device, Int, Tensor, TensorData,
        activation::{gelu_approximate, silu},
    },
};
pub use config::{LanguageModelConfig, ModelType};

use crate::{
    error::Result,
    kernels::{End, dense_linear, trains_on_gpu},
    nn::{
        attention::{attention, causal_bias, merge_heads, split_heads},
        linear::Linear,
        norm::RmsNorm,
        rope::{Pairing, Rope},
    },
    weights::params::{Init, Params},
};

/// The embedding table.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[V, C]`.
    pub weight: Param<Tensor<2>>,
}

/// Grouped-query attention with rotary positions.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Queries.
    pub q_proj: Linear,
    /// Keys.
    pub k_proj: Linear,
    /// Values.
    pub v_proj: Linear,
    /// Out.
    pub o_proj: Linear,
    heads: usize,
    kv_heads: usize,
}

/// `down(silu(gate x) · up x)`; Gemma has tanh-GELU for SiLU.
#[derive(Module, Debug)]
pub struct Mlp {
    /// Through the activation.
    pub gate_proj: Linear,
    /// The gate's other side.
    pub up_proj: Linear,
    /// Back to C.
    pub down_proj: Linear,
    is_gemma: bool,
}

/// One layer.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Before attention.
    pub input_layernorm: RmsNorm,
    /// Attention.
    pub self_attn: SelfAttention,
    /// Before the feed-forward layer.
    pub post_attention_layernorm: RmsNorm,
    /// Feed-forward layer.
    pub mlp: Mlp,
}

/// The language model.
#[derive(Module, Debug)]
pub struct LanguageModel {
    /// Token embeddings, where they are not read row by row ([`gather`](super::embeddings::gather)).
    pub embed_tokens: Option<Embedding>,
    /// The layers.
    pub layers: Vec<DecoderLayer>,
    /// The final norm.
    pub norm: RmsNorm,
    head_dim: usize,
    rope_theta: f64,
    is_gemma: bool,
}

impl LanguageModel {
    /// As `config` has it, from `params`.
    ///
    /// # Errors
    ///
    /// `bad-model` if the configuration is impossible or the parameters are not exactly those it calls for.
    pub fn new(config: &LanguageModelConfig, params: &Params) -> Result<Self> {
        config.check()?;
        let table = [config.vocab_size, config.hidden_size];
        // Of the width of what follows a norm: a smaller start drowns in what the first layers add, which is the same
        // for every token, and captions all look alike for the first hundred thousand pictures.
        let weight = params.child("embed_tokens").tensor("weight", table, Init::Normal(1.0));
        Ok(Self { embed_tokens: Some(Embedding { weight }), ..Self::without_table(config, params)? })
    }

    /// [`Self::new`] without the embedding table, which [`Self::forward_from`] is given instead.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn without_table(config: &LanguageModelConfig, params: &Params) -> Result<Self> {
        config.check()?;
        let layers = params.child("layers");
        let model = Self {
            embed_tokens: None,
            layers: (0..config.num_hidden_layers).map(|i| DecoderLayer::new(config, &layers.child(i))).collect(),
            norm: config.norm(&params.child("norm")),
            head_dim: config.head_dim(),
            rope_theta: config.rope_theta,
            is_gemma: config.model_type == ModelType::Gemma,
        };
        params.finish("text encoder")?;
        Ok(model)
    }

    /// The embedding table, `[V, C]`.
    ///
    /// # Panics
    ///
    /// If the model was built without.
    pub fn table(&self) -> Tensor<2> {
        self.embed_tokens.as_ref().expect("a model with its embedding table").weight.val()
    }

    /// Token ids `[B, T]` (padded on the right; causality keeps padding out of every real token) to features
    /// `[B, T, C]`.
    ///
    /// # Panics
    ///
    /// If the model was built without an embedding table.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.forward_from(self.table(), ids)
    }

    /// [`Self::forward`], with rows of embeddings `[U, C]` that `ids` count.
    pub fn forward_from(&self, table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
        match self.is_gemma {
            true => self.after(self.layers.len() - 1, table, ids),
            false => self.last_hidden_state(table, ids),
        }
    }

    /// The last layer's output after the final norm, `[B, T, C]`.
    pub fn last_hidden_state(&self, table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
        self.norm.forward(self.after(self.layers.len(), table, ids))
    }

    /// What leaves the first `layers` layers, `[B, T, C]`.
    fn after(&self, layers: usize, table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
        let (x, rope, bias) = self.embed(table, ids);
        self.layers[..layers].iter().fold(x, |x, layer| layer.forward(x, &rope, &bias))
    }

    /// The embeddings and every layer's output, without the final norm: `layers + 1` tensors `[B, T, C]`.
    pub fn hidden_states(&self, table: Tensor<2>, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        let (mut x, rope, bias) = self.embed(table, ids);
        let mut states = vec![x.clone()];
        for layer in &self.layers {
            x = layer.forward(x, &rope, &bias);
            states.push(x.clone());
        }
        states
    }

    /// The embeddings `[B, T, C]`, positions and the causal mask.
    fn embed(&self, table: Tensor<2>, ids: Tensor<2, Int>) -> (Tensor<3>, Rope, Tensor<4>) {
        let [batch, tokens] = ids.dims();
        let device = ids.device();
        let width = table.dims()[1];
        let embedded = rows_of(table, ids.reshape([batch * tokens])).reshape([batch, tokens, width]); // [B, T, C]
        let embedded = if self.is_gemma { embedded * (width as f64).sqrt() } else { embedded };
        let rope = Rope::line(tokens, self.head_dim, self.rope_theta, 1.0, Pairing::Halves, &device);
        (embedded, rope, causal_bias(tokens, &device))
    }
}

impl DecoderLayer {
    fn new(config: &LanguageModelConfig, params: &Params) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let [q_width, kv_width] =
            [config.num_attention_heads, config.kv_heads()].map(|heads| heads * config.head_dim());
        let (attention, mlp) = (params.child("self_attn"), params.child("mlp"));
        let linear =
            |input, output, of: &Params, name| Linear::without_bias(input, output, Init::Normal(0.02), &of.child(name));
        let norm = |name| config.norm(&params.child(name));
        Self {
            input_layernorm: norm("input_layernorm"),
            self_attn: SelfAttention {
                q_proj: linear(width, q_width, &attention, "q_proj"),
                k_proj: linear(width, kv_width, &attention, "k_proj"),
                v_proj: linear(width, kv_width, &attention, "v_proj"),
                o_proj: linear(q_width, width, &attention, "o_proj"),
                heads: config.num_attention_heads,
                kv_heads: config.kv_heads(),
            },
            post_attention_layernorm: norm("post_attention_layernorm"),
            mlp: Mlp {
                gate_proj: linear(width, inner, &mlp, "gate_proj"),
                up_proj: linear(width, inner, &mlp, "up_proj"),
                down_proj: linear(inner, width, &mlp, "down_proj"),
                is_gemma: config.model_type == ModelType::Gemma,
            },
        }
    }

    fn forward(&self, x: Tensor<3>, rope: &Rope, bias: &Tensor<4>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(self.input_layernorm.forward(x), rope, bias);
        x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x))
    }
}

impl SelfAttention {
    fn forward(&self, x: Tensor<3>, rope: &Rope, bias: &Tensor<4>) -> Tensor<3> {
        let q = rope.heads(self.q_proj.forward(x.clone()), self.heads, None); // [B, H, T, d]
        let k = rope.heads(self.k_proj.forward(x.clone()), self.kv_heads, None);
        let v = split_heads(self.v_proj.forward(x), self.kv_heads);
        let scale = (q.dims()[3] as f64).powf(-0.5);
        let out = attention(q, k, v, scale, Some(bias.clone()));
        self.o_proj.forward(merge_heads(out))
    }
}

impl Mlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = self.gate_proj.forward(x.clone());
        let gate = if self.is_gemma { gelu_approximate(gate) } else { silu(gate) };
        self.down_proj.forward(gate * self.up_proj.forward(x))
    }
}

/// Rows `[R, C]` of a table `[U, C]` by their numbers `[R]`.
///
/// Burn's gradient of rows that are looked up adds them to the table one after the other, which keeps a GPU waiting: in a
/// training there it is a product with ones where a row is the number's. Exact, for every sum has one term that is not zero.
fn rows_of(table: Tensor<2>, numbers: Tensor<1, Int>) -> Tensor<2> {
    let device = table.device();
    if !trains_on_gpu(&device) {
        return table.select(0, numbers);
    }
    let [all, _] = table.dims();
    let places = Tensor::arange(0..all as i64, &device).unsqueeze::<2>(); // [1, U]
    let ones = numbers.unsqueeze_dim::<2>(1).equal(places).float(); // [R, U]
    dense_linear(ones, table.transpose(), None, End::Plain) // [R, C]
}

/// Rows of ids of different lengths as one tensor `[B, T]`, padded on the right with `pad`, and its mask `[B, T]`.
pub fn batch_ids(rows: &[Vec<u32>], pad: u32, device: &Device) -> (Tensor<2, Int>, Tensor<2>) {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let padded = |row: &Vec<u32>| {
        let rest = longest - row.len();
        row.iter().copied().chain(std::iter::repeat_n(pad, rest)).map(|id| id as i32).collect::<Vec<_>>()
    };
    let ids: Vec<i32> = rows.iter().flat_map(padded).collect();
    let mask: Vec<f32> = rows.iter().flat_map(|row| (0..longest).map(|i| f32::from(i < row.len()))).collect();
    let shape = [rows.len(), longest];
    (Tensor::from_data(TensorData::new(ids, shape), device), Tensor::from_data(TensorData::new(mask, shape), device))
}
