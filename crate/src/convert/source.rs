//! The networks of a checkpoint with their configurations, checked and ready to be read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    Options,
    network::Network,
    places::{DenoiserPlace, Origin, Places, TextPlace, json},
};
use crate::{
    decode::vae::VaeConfig,
    error::{Error, Result},
    model::{FlagDitConfig, Variant},
    parts,
    text::{
        language_model::{LanguageModelConfig, ModelType},
        sentencepiece,
        tokenizer::Tokenizer,
    },
    weights::{
        checkpoint::{Checkpoint, MAX_JSON_BYTES, read_whole},
        manifest::{Component, Components, Sampling, Sizes},
    },
};

/// Where the tokenizer lies in a model folder.
pub(super) const TOKENIZER: &str = "text/tokenizer.json";
/// Of a tokenizer; Gemma's has 17 MB.
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;
/// What is known of a source without a model card.
const UNKNOWN_LICENSE: &str = "unknown: see where the weights came from";
/// Pixels along each side of a latent pixel, where the autoencoder is not there to say: that of every released model.
const FACTOR: usize = 8;

/// All that a model folder is made of.
pub(super) struct Source {
    pub name: String,
    pub license: String,
    /// In the order in which a pipeline needs them.
    pub networks: Vec<Network>,
    pub tokenizer: Option<Vec<u8>>,
    /// Licences and the model card, by name.
    pub documents: Vec<(String, Vec<u8>)>,
    pub components: Components,
    /// Whether the denoiser knows labels.
    pub is_of_labels: bool,
    /// Where there is a denoiser.
    pub defaults: Option<(Sizes, Sampling)>,
}

impl Source {
    /// Opens what lies at `path`.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let Places { root, denoiser, text, vae } = Places::find(path, options)?;
        let denoiser = denoiser.map(Denoiser::open).transpose()?;
        let text = text.map(Text::open).transpose()?;
        let vae = vae.map(|folder| Vae::open(&folder)).transpose()?;
        if let (Some(denoiser), Some(vae)) = (&denoiser, &vae) {
            parts::belong_together(text.as_ref().map(|text| &text.config), &denoiser.config, &vae.config, None)?;
        }
        let factor = vae.as_ref().map_or(FACTOR, |vae| vae.config.factor());
        let defaults = denoiser.as_ref().map(|denoiser| denoiser.origin.defaults(&denoiser.config, factor));
        let components = Components {
            denoiser: denoiser.as_ref().map(Denoiser::component).transpose()?,
            text: text.as_ref().map(Text::component).transpose()?,
            decoders: vae.iter().map(|vae| Ok(("image".to_owned(), vae.component()?))).collect::<Result<_>>()?,
        };
        let is_of_labels = denoiser.as_ref().is_some_and(|denoiser| denoiser.config.num_classes.is_some());
        let documents = documents(&root)?;
        let (text, tokenizer) = text.map(|text| (text.network, text.tokenizer)).unzip();
        let networks = [text, denoiser.map(|denoiser| denoiser.network), vae.map(|vae| vae.network)];
        Ok(Self {
            name: name(root),
            license: license(&documents),
            networks: networks.into_iter().flatten().collect(),
            tokenizer,
            documents,
            components,
            is_of_labels,
            defaults,
        })
    }
}

/// A denoiser whose tensors are those of its configuration.
struct Denoiser {
    network: Network,
    config: FlagDitConfig,
    origin: Origin,
}

impl Denoiser {
    fn open(place: DenoiserPlace) -> Result<Self> {
        let DenoiserPlace { checkpoint, names, config, origin } = place;
        config.check()?;
        let network = Network::denoiser(checkpoint, names)?;
        network.check_denoiser(&config)?;
        Ok(Self { network, config, origin })
    }

    fn component(&self) -> Result<Component> {
        let architecture = if self.config.variant == Variant::Next { "next-dit" } else { "flag-dit" };
        Ok(component(architecture, value(&self.config)?))
    }
}

/// A text encoder, likewise, with a tokenizer of its vocabulary.
struct Text {
    network: Network,
    config: LanguageModelConfig,
    rules: Value,
    tokenizer: Vec<u8>,
}

impl Text {
    fn open(place: TextPlace) -> Result<Self> {
        let config: LanguageModelConfig = json(&place.folder.join("config.json"), "a language model")?;
        let network = Network::text(Checkpoint::open(&place.folder)?)?;
        network.check_text(&config)?;
        let tokenizer = tokenizer_json(&place.tokenizer)?;
        let rules = place.rules(config.model_type);
        Tokenizer::new(&tokenizer, rules.clone(), config.vocab_size)?;
        Ok(Self { network, config, rules: value(&rules)?, tokenizer })
    }

    fn component(&self) -> Result<Component> {
        let mut config = value(&self.config)?;
        config["prompt"] = self.rules.clone();
        let architecture = match self.config.model_type {
            ModelType::Llama => "llama",
            ModelType::Gemma => "gemma",
        };
        Ok(Component { tokenizer: Some(TOKENIZER.to_owned()), ..component(architecture, config) })
    }
}

/// An autoencoder, likewise.
struct Vae {
    network: Network,
    config: VaeConfig,
}

impl Vae {
    fn open(folder: &Path) -> Result<Self> {
        let config: VaeConfig = json(&folder.join("config.json"), "an autoencoder")?;
        config.check()?;
        let network = Network::vae(Checkpoint::open(folder)?)?;
        network.check_vae(&config)?;
        Ok(Self { network, config })
    }

    fn component(&self) -> Result<Component> {
        Ok(component("autoencoder-kl", value(&self.config)?))
    }
}

fn component(architecture: &str, config: Value) -> Component {
    Component { architecture: architecture.to_owned(), config, tokenizer: None }
}

/// The tokenizer in a folder: `tokenizer.json`, or made of SentencePiece's `tokenizer.model`.
fn tokenizer_json(folder: &Path) -> Result<Vec<u8>> {
    let [ready, model] = ["tokenizer.json", "tokenizer.model"].map(|name| folder.join(name));
    if ready.is_file() {
        return read_whole(&ready, MAX_TOKENIZER_BYTES);
    }
    if model.is_file() {
        return sentencepiece::to_tokenizer_json(&read_whole(&model, MAX_TOKENIZER_BYTES)?);
    }
    Err(Error::bad_model(folder.display().to_string()).expected("tokenizer.json or tokenizer.model").found("neither"))
}

/// What travels with the weights: licences, notices, the model card.
fn documents(root: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let entries = fs::read_dir(root).map_err(|error| Error::file(root.display(), &error))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()))
        .filter(|name| {
            let name = name.to_uppercase();
            ["LICENSE", "LICENCE", "NOTICE", "README.MD"].iter().any(|start| name.starts_with(start))
        })
        .collect();
    names.sort();
    names.into_iter().map(|name| Ok((name.clone(), read_whole(&root.join(name), MAX_JSON_BYTES)?))).collect()
}

/// The licence that the model card states in its front matter.
fn license(documents: &[(String, Vec<u8>)]) -> String {
    let card = documents.iter().find(|(name, _)| name.eq_ignore_ascii_case("readme.md"));
    let text = card.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    let stated = text.lines().take(60).find_map(|line| line.strip_prefix("license:").map(str::trim));
    stated.filter(|license| !license.is_empty()).unwrap_or(UNKNOWN_LICENSE).to_owned()
}

/// What a folder is called.
fn name(root: PathBuf) -> String {
    let root = fs::canonicalize(&root).unwrap_or(root);
    root.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn value(config: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(config).map_err(|error| Error::bad_model("configuration").found(error.to_string()))
}
