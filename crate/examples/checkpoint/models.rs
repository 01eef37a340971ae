//! The released models: constructor arguments (`lumina_t2i/models/model.py`, `lumina_next_t2i/models/model.py`,
//! `Flag-DiT-ImageNet`, `Next-DiT-ImageNet`) and the `config.json` of what they are used with (Llama-2-7b, gemma-2b, sdxl-vae).

use flagdit::decode::vae::VaeConfig;
use flagdit::error::{Error, Result};
use flagdit::model::FlagDitConfig;
use flagdit::weights::header::Dtype;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// What [`model`] knows.
pub const NAMES: [&str; 10] = [
    "lumina-t2i",
    "lumina-next",
    "lumina-next-mha",
    "imagenet-flag-600m",
    "imagenet-flag-3b",
    "imagenet-flag-7b",
    "imagenet-next-600m",
    "imagenet-next-2b",
    "imagenet-next-3b",
    "imagenet-next-7b",
];

/// The labels of ImageNet.
const CLASSES: usize = 1000;

/// The pieces that stand before all others, and whether a space goes before the text.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Marks in the order of their ids, `<unk>` among them.
    pub marks: &'static [&'static str],
    /// LLaMA's models put a space before the text, Gemma's do not.
    pub has_dummy_prefix: bool,
}

/// A denoiser, and what it is used with where that is not another one's affair.
pub struct Model {
    /// By its authors' names, f32.
    pub denoiser: FlagDitConfig,
    pub text: Option<Text>,
    /// By diffusers' names, f32.
    pub vae: Option<VaeConfig>,
}

/// A text encoder, by transformers' names.
pub struct Text {
    /// Its `config.json`.
    pub config: Value,
    pub dtype: Dtype,
    /// A file is at most this long.
    pub shard_bytes: u64,
    /// Of its tokenizer.
    pub vocabulary: Family,
}

/// Other arguments than the released model's, by their names.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub denoiser: Map<String, Value>,
    pub text: Map<String, Value>,
    pub vae: Map<String, Value>,
}

impl Model {
    /// The same model with other arguments: a block of a large one, or a small one of the same sort.
    pub fn with(self, changes: &Changes) -> Result<Self> {
        let text = |text: Text| Ok(Text { config: changed(&text.config, &changes.text)?, ..text });
        Ok(Self {
            denoiser: changed(&self.denoiser, &changes.denoiser)?,
            text: self.text.map(text).transpose()?,
            vae: self.vae.map(|vae| changed(&vae, &changes.vae)).transpose()?,
        })
    }
}

/// The model of one of [`NAMES`].
pub fn model(name: &str) -> Result<Model> {
    let captions = |denoiser: Result<FlagDitConfig>, text| {
        Ok(Model { denoiser: denoiser?, text: Some(text), vae: Some(sdxl_vae()?) })
    };
    let labels = |denoiser: Result<FlagDitConfig>| Ok(Model { denoiser: denoiser?, text: None, vae: None });
    match name {
        "lumina-t2i" => captions(flag_dit(3072, 32, json!({ "cap_feat_dim": 4096 })), llama_2_7b()),
        "lumina-next" => captions(next_dit(2304, 24, json!({ "cap_feat_dim": 2048, "n_kv_heads": 8 })), gemma_2b()),
        "lumina-next-mha" => captions(next_dit(2304, 24, json!({ "cap_feat_dim": 2048 })), gemma_2b()),
        "imagenet-flag-600m" => labels(flag_dit(1536, 16, of_labels())),
        "imagenet-flag-3b" => labels(flag_dit(3072, 32, of_labels())),
        "imagenet-flag-7b" => labels(flag_dit(4096, 32, of_labels())),
        "imagenet-next-600m" => labels(next_dit(1536, 16, json!({ "num_classes": CLASSES }))),
        "imagenet-next-2b" => labels(next_dit(2304, 24, json!({ "num_classes": CLASSES }))),
        "imagenet-next-3b" => labels(next_dit(3072, 32, json!({ "num_classes": CLASSES }))),
        "imagenet-next-7b" => labels(next_dit(4096, 32, json!({ "num_classes": CLASSES }))),
        _ => Err(Error::bad_request("model").expected(format!("one of {}", NAMES.join(", "))).found(name)),
    }
}

/// They have no [nextline] tokens.
fn of_labels() -> Value {
    json!({ "num_classes": CLASSES, "nextline": false })
}

fn flag_dit(dim: usize, layers: usize, more: Value) -> Result<FlagDitConfig> {
    denoiser(json!({ "variant": "flag" }), dim, layers, more)
}

fn next_dit(dim: usize, layers: usize, more: Value) -> Result<FlagDitConfig> {
    denoiser(json!({ "variant": "next", "nextline": false }), dim, layers, more)
}

/// Those of `variant` and `more`, and what all of the family have.
fn denoiser(variant: Value, dim: usize, layers: usize, more: Value) -> Result<FlagDitConfig> {
    let mut arguments = json!({
        "patch_size": 2, "in_channels": 4, "dim": dim, "n_layers": layers, "n_heads": 32, "multiple_of": 256,
        "norm_eps": 1e-5, "learn_sigma": true, "qk_norm": true
    });
    for (name, value) in [variant, more].iter().flat_map(|some| some.as_object()).flatten() {
        arguments[name] = value.clone();
    }
    parsed(arguments)
}

/// meta-llama/Llama-2-7b-hf.
fn llama_2_7b() -> Text {
    Text {
        config: json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float16",
            "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
            "num_key_value_heads": 32, "rms_norm_eps": 1e-5, "vocab_size": 32000, "tie_word_embeddings": false,
            "hidden_act": "silu", "max_position_embeddings": 4096, "bos_token_id": 1, "eos_token_id": 2
        }),
        dtype: Dtype::F16,
        shard_bytes: 10_000_000_000,
        vocabulary: Family { marks: &["<unk>", "<s>", "</s>"], has_dummy_prefix: true },
    }
}

/// google/gemma-2b.
fn gemma_2b() -> Text {
    Text {
        config: json!({
            "architectures": ["GemmaForCausalLM"], "model_type": "gemma", "torch_dtype": "bfloat16",
            "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18, "num_attention_heads": 8,
            "num_key_value_heads": 1, "head_dim": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "vocab_size": 256000,
            "hidden_act": "gelu", "max_position_embeddings": 8192, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0
        }),
        dtype: Dtype::BF16,
        shard_bytes: 5_000_000_000,
        vocabulary: Family { marks: &["<pad>", "<eos>", "<bos>", "<unk>"], has_dummy_prefix: false },
    }
}

/// stabilityai/sdxl-vae.
fn sdxl_vae() -> Result<VaeConfig> {
    parsed(json!({
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2, "norm_num_groups": 32, "scaling_factor": 0.13025
    }))
}

fn changed<T: Serialize + DeserializeOwned>(config: &T, changes: &Map<String, Value>) -> Result<T> {
    let refuse = |error: serde_json::Error| Error::bad_model("configuration").found(error.to_string());
    let mut arguments: Map<String, Value> =
        serde_json::to_value(config).and_then(serde_json::from_value).map_err(refuse)?;
    arguments.extend(changes.clone());
    parsed(Value::Object(arguments))
}

fn parsed<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::bad_model("configuration").found(error.to_string()))
}
