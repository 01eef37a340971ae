//! What is in a checkpoint: the parameters that a network's constructor asks for, by upstream's names, and what else
//! upstream's files hold. The fixtures, which upstream's own code has written, say whether that is so.

use burn::tensor::Device;
use flagdit::decode::vae::{AutoencoderKl, VaeConfig};
use flagdit::error::{Error, Result};
use flagdit::model::{FlagDit, FlagDitConfig, Variant};
use flagdit::text::language_model::{LanguageModel, LanguageModelConfig, ModelType};
use flagdit::weights::header::Dtype;
use flagdit::weights::params::{Init, Listed, Params};
use flagdit::weights::upstream::{self, Restore};

use crate::models::Text;
use crate::numbers::Spread;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    pub spread: Spread,
}

impl Entry {
    fn new(name: String, shape: Vec<usize>, dtype: Dtype, init: Init) -> Self {
        let spread = Spread::of(&shape, init);
        Self { name, shape, dtype, spread }
    }

    /// How many numbers it has.
    pub fn count(&self) -> u64 {
        self.shape.iter().map(|side| *side as u64).product()
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.count() * self.dtype.size() as u64
    }
}

/// Of an official checkpoint.
pub fn denoiser(config: &FlagDitConfig) -> Result<Vec<Entry>> {
    config.check()?;
    let params = Params::listing(&Device::flex());
    FlagDit::new(config, &params)?;
    let restore: Restore = match (config.variant, config.num_classes) {
        (Variant::Flag, None) => upstream::original_flag_dit,
        (Variant::Flag, Some(_)) => upstream::original_flag_dit_of_labels,
        (Variant::Next, None) => upstream::original_next_dit,
        (Variant::Next, Some(_)) => upstream::original_next_dit_of_labels,
    };
    Ok(sorted(params.listed().into_iter().map(|listed| entry(listed, restore, Dtype::F32)).collect()))
}

/// Of a folder of transformers. LLaMA's have a projection to logits, and RoPE's frequencies.
pub fn text(text: &Text) -> Result<Vec<Entry>> {
    let parsed = serde_json::from_value::<LanguageModelConfig>(text.config.clone());
    let config = parsed.map_err(|error| Error::bad_model("text encoder").found(error.to_string()))?;
    let params = Params::listing(&Device::flex());
    LanguageModel::new(&config, &params)?;
    let named = |listed| entry(listed, upstream::original_language_model, text.dtype);
    let mut entries: Vec<_> = params.listed().into_iter().map(named).collect();
    if config.model_type == ModelType::Llama {
        let head = vec![config.vocab_size, config.hidden_size];
        entries.push(Entry::new("lm_head.weight".to_owned(), head, text.dtype, Init::Xavier));
        let width = config.head_dim.unwrap_or(config.hidden_size / config.num_attention_heads);
        for layer in 0..config.num_hidden_layers {
            let name = format!("model.layers.{layer}.self_attn.rotary_emb.inv_freq");
            entries.push(Entry::new(name, vec![width / 2], Dtype::F32, Init::Zeros));
        }
    }
    Ok(sorted(entries))
}

/// Of a folder of diffusers.
pub fn vae(config: &VaeConfig) -> Result<Vec<Entry>> {
    let params = Params::listing(&Device::flex());
    AutoencoderKl::new(config, &params)?;
    let named = |listed| entry(listed, upstream::original_autoencoder_kl, Dtype::F32);
    Ok(sorted(params.listed().into_iter().map(named).collect()))
}

fn entry(Listed { name, shape, init }: Listed, restore: Restore, dtype: Dtype) -> Entry {
    Entry::new(restore(&name), shape, dtype, init)
}

/// In the order of the `safetensors` crate, which keeps tensors aligned: wide numbers first, then by name.
fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|a, b| b.dtype.size().cmp(&a.dtype.size()).then_with(|| a.name.cmp(&b.name)));
    entries
}
