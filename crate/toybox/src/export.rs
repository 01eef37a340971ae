//! A trained run as a model folder: averaged weights, quantized as asked, in the container.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use burn::tensor::Device;
use flagdit::{
    request::Kind,
    text::language_model::LanguageModelConfig,
    weights::{
        Manifest, Writer,
        manifest::{Component, Components, Conditioning, FORMAT, VERSION},
        params::Params,
        recipe::{Quant, Rule, format_for},
    },
};
use serde_json::Value;

use crate::{
    tokenizer::{CaptionTokenizer, rules},
    train::{
        autoencoder,
        checkpoint::{self, Named},
        denoiser::TextToLatent,
        recipe::{Modality, Recipe},
    },
};

/// Writes the run in `folder` as the model `target`, which must not exist.
pub fn export(recipe: &Recipe, folder: &Path, target: &Path, quant: Quant) -> Result<()> {
    let device = Device::flex();
    let tokenizer = folder.join("tokenizer.json");
    let vocabulary = CaptionTokenizer::load_or_train(&tokenizer, recipe)?.vocabulary();
    let (vae, vae_config) = autoencoder::trained(recipe, folder, &device)?;
    let named = averaged_denoiser(recipe, folder, vocabulary, &device)?;
    let rules = quant.recipe();
    let mut writer = Writer::new(target)?;
    for part in ["text.", "denoiser."] {
        for (name, shape, values) in named.iter().filter(|(name, ..)| name.starts_with(part)) {
            add(&mut writer, &rules, name, shape, values)?;
        }
    }
    for (name, shape, values) in checkpoint::parameters(&vae) {
        add(&mut writer, &rules, &format!("decoders.image.{name}"), &shape, &values)?;
    }
    let bytes = std::fs::read(&tokenizer).with_context(|| format!("tokenizer {}", tokenizer.display()))?;
    writer.add_file("text/tokenizer.json", &bytes)?;
    let text = LanguageModelConfig { vocab_size: vocabulary, ..recipe.text.clone() };
    let mut decoders =
        BTreeMap::from([("image".to_owned(), component("autoencoder-kl", serde_json::to_value(vae_config)?, None))]);
    if let Some(mel) = &recipe.mel {
        decoders.insert("audio".to_owned(), component("griffin-lim", serde_json::to_value(mel)?, None));
    }
    let components = Components {
        text: Some(component("llama", with_rules(serde_json::to_value(text)?)?, Some("text/tokenizer.json"))),
        denoiser: Some(component("flag-dit", serde_json::to_value(&recipe.denoiser)?, None)),
        decoders,
    };
    writer.finish(manifest(recipe, components, rules))?;
    Ok(())
}

fn add(writer: &mut Writer, rules: &[Rule], name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
    let format = format_for(rules, name).with_context(|| format!("no rule for {name}"))?;
    Ok(writer.add(name, shape, values, format)?)
}

fn averaged_denoiser(recipe: &Recipe, folder: &Path, vocabulary: usize, device: &Device) -> Result<Vec<Named>> {
    let (params, optimizer, _) = checkpoint::load(&folder.join("denoiser.safetensors"), device)?;
    let model = TextToLatent::new(recipe, vocabulary, &params)?;
    let named = checkpoint::averaged(&model, &optimizer);
    // Loading them once shows that the names are whole before anything is written.
    TextToLatent::new(recipe, vocabulary, &Params::from_values(named.clone(), device))?;
    Ok(named)
}

fn component(architecture: &str, config: Value, tokenizer: Option<&str>) -> Component {
    Component { architecture: architecture.to_owned(), config, tokenizer: tokenizer.map(str::to_owned) }
}

fn with_rules(mut config: Value) -> Result<Value> {
    config["prompt"] = serde_json::to_value(rules())?;
    Ok(config)
}

fn manifest(recipe: &Recipe, components: Components, rules: Vec<Rule>) -> Manifest {
    let named = |(kind, modality): (&Kind, &Modality)| (kind.name().to_owned(), modality.clone());
    let modalities: BTreeMap<String, Modality> = recipe.modalities.iter().map(named).collect();
    Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        name: "toybox".to_owned(),
        license: "MIT OR Apache-2.0".to_owned(),
        created_by: format!("flagdit {}", env!("CARGO_PKG_VERSION")),
        modalities: recipe.modalities.keys().map(|kind| kind.name().to_owned()).collect(),
        conditioning: Conditioning::Text,
        sizes: modalities.iter().map(|(kind, modality)| (kind.clone(), modality.sizes.clone())).collect(),
        components,
        sampling: modalities.into_iter().map(|(kind, modality)| (kind, modality.sampling)).collect(),
        recipe: rules,
        files: Vec::new(),
        tensors: BTreeMap::new(),
    }
}
