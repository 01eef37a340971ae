//! The networks of a checkpoint with their configurations, wherever they lie.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Options, defaults,
    network::{self, Network},
    shapes,
};
use crate::{
    decode::vae::VaeConfig,
    error::{Error, Result},
    model::{FlagDitConfig, Variant},
    text::{
        language_model::LanguageModelConfig,
        sentencepiece,
        tokenizer::{Tokenizer, TokenizerRules},
    },
    weights::{
        checkpoint::{Checkpoint, read_whole},
        manifest::{Component, Components, Sampling, Sizes},
        upstream,
    },
};

/// Where the tokenizer lies in a model folder.
pub(super) const TOKENIZER: &str = "text/tokenizer.json";
/// What says that a folder is a diffusers pipeline.
const MODEL_INDEX: &str = "model_index.json";
/// JSON that is read whole is no longer than this.
const MAX_JSON_BYTES: u64 = 4 << 20;
/// Of a tokenizer; Gemma's has 17 MB.
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;
/// What is known of a source without a model card.
const UNKNOWN_LICENSE: &str = "unknown: see where the weights came from";

/// All that a model folder is made of.
pub(super) struct Source {
    pub name: String,
    pub license: String,
    pub text: Network,
    pub denoiser: Network,
    pub vae: Network,
    pub tokenizer: Vec<u8>,
    /// Licences and the model card, by name.
    pub documents: Vec<(String, Vec<u8>)>,
    pub components: Components,
    pub sizes: Sizes,
    pub sampling: Sampling,
}

/// The parts of a source, before they are looked at.
struct Parts {
    root: PathBuf,
    denoiser: Network,
    config: FlagDitConfig,
    text: PathBuf,
    tokenizer: PathBuf,
    rules: TokenizerRules,
    vae: PathBuf,
    origin: Origin,
}

/// Who wrote it, which tells what it is asked for by default.
enum Origin {
    Official,
    Diffusers { sample_size: u32, shift: f64 },
}

impl Origin {
    fn defaults(&self, config: &FlagDitConfig, factor: usize) -> (Sizes, Sampling) {
        match *self {
            Self::Official => defaults::official(config, factor),
            Self::Diffusers { sample_size, shift } => defaults::diffusers(config, factor, sample_size, shift),
        }
    }
}

impl Source {
    /// Opens what lies at `path`.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        // Before anything is said of what else official checkpoints need.
        fs::metadata(path).map_err(|error| Error::file(path.display(), &error))?;
        let is_pipeline = path.join(MODEL_INDEX).is_file();
        let parts = if is_pipeline { diffusers(path, options)? } else { official(path, options)? };
        let Parts { root, denoiser, config, text, tokenizer, rules, vae, origin } = parts;
        config.check()?;
        denoiser.check_denoiser(&config)?;
        let text_config: LanguageModelConfig = json(&text.join("config.json"), "a language model")?;
        let text = Network::text(Checkpoint::open(&text)?)?;
        text.check_text(&text_config)?;
        let vae_config: VaeConfig = json(&vae.join("config.json"), "an autoencoder")?;
        vae_config.check()?;
        let vae = Network::vae(Checkpoint::open(&vae)?)?;
        vae.check_vae(&vae_config)?;
        belong_together(&config, &text_config, &vae_config)?;
        let tokenizer = tokenizer_json(&tokenizer)?;
        Tokenizer::new(&tokenizer, rules.clone(), text_config.vocab_size)?;
        let documents = documents(&root)?;
        let (sizes, sampling) = origin.defaults(&config, vae_config.factor());
        let mut text_value = value(&text_config)?;
        text_value["prompt"] = value(&rules)?;
        let family = if config.variant == Variant::Next { "next-dit" } else { "flag-dit" };
        let language = text_value["model_type"].as_str().unwrap_or("llama").to_owned();
        let component =
            |architecture: &str, config| Component { architecture: architecture.to_owned(), config, tokenizer: None };
        let components = Components {
            denoiser: component(family, value(&config)?),
            text: Component { tokenizer: Some(TOKENIZER.to_owned()), ..component(&language, text_value) },
            decoders: [("image".to_owned(), component("autoencoder-kl", value(&vae_config)?))].into(),
        };
        let license = license(&documents);
        let name = fs::canonicalize(&root).unwrap_or(root);
        let name = name.file_name().map_or_else(|| family.to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, license, text, denoiser, vae, tokenizer, documents, components, sizes, sampling })
    }
}

/// Refuses a text encoder or an autoencoder of another model.
fn belong_together(denoiser: &FlagDitConfig, text: &LanguageModelConfig, vae: &VaeConfig) -> Result<()> {
    let equal = [
        ("text encoder", "features as wide as", denoiser.cap_feat_dim, text.hidden_size),
        ("autoencoder", "as many latent channels as", denoiser.in_channels, vae.latent_channels),
    ];
    match equal.into_iter().find(|(.., wanted, found)| wanted != found) {
        None => Ok(()),
        Some((what, as_many, wanted, found)) => Err(Error::bad_model(what)
            .expected(format!("{as_many} this denoiser was trained with, {wanted}"))
            .found(found.to_string())
            .remedy("Lumina-T2I goes with Llama-2-7b, Lumina-Next with gemma-2b, both with sdxl-vae")),
    }
}

/// A folder as diffusers writes it.
fn diffusers(root: &Path, options: &Options) -> Result<Parts> {
    let index: Value = json(&root.join(MODEL_INDEX), "a diffusers pipeline")?;
    let transformer = root.join("transformer");
    let config: Value = json(&transformer.join("config.json"), "a transformer")?;
    let class = config["_class_name"].as_str().unwrap_or("no class");
    if class != "LuminaNextDiT2DModel" {
        return Err(Error::bad_model(root.display().to_string())
            .expected("a pipeline of Lumina-Next (LuminaNextDiT2DModel)")
            .found(format!("{} with {class}", index["_class_name"].as_str().unwrap_or("a pipeline"))));
    }
    let scheduler: Value = json(&root.join("scheduler/scheduler_config.json"), "a scheduler")?;
    let shift = scheduler["shift"].as_f64().unwrap_or(1.0);
    let sample_size = config["sample_size"].as_u64().and_then(|size| u32::try_from(size).ok()).unwrap_or(128);
    let config = match &options.config {
        Some(path) => official_config(path, Variant::Next)?,
        None => parsed(&transformer.join("config.json"), diffusers_config(&config))?,
    };
    Ok(Parts {
        denoiser: Network::denoiser(Checkpoint::open(&transformer)?, upstream::diffusers_next_dit)?,
        config,
        text: options.text_encoder.clone().unwrap_or_else(|| root.join("text_encoder")),
        tokenizer: options.text_encoder.clone().unwrap_or_else(|| root.join("tokenizer")),
        rules: defaults::diffusers_rules(),
        vae: options.vae.clone().unwrap_or_else(|| root.join("vae")),
        origin: Origin::Diffusers { sample_size, shift },
        root: root.to_owned(),
    })
}

/// Upstream's arguments by diffusers' names for them.
fn diffusers_config(config: &Value) -> Value {
    let names = [
        ("patch_size", "patch_size"),
        ("in_channels", "in_channels"),
        ("dim", "hidden_size"),
        ("n_layers", "num_layers"),
        ("n_heads", "num_attention_heads"),
        ("n_kv_heads", "num_kv_heads"),
        ("multiple_of", "multiple_of"),
        ("ffn_dim_multiplier", "ffn_dim_multiplier"),
        ("norm_eps", "norm_eps"),
        ("learn_sigma", "learn_sigma"),
        ("qk_norm", "qk_norm"),
        ("cap_feat_dim", "cross_attention_dim"),
        ("rope_scaling_factor", "scaling_factor"),
    ];
    let known = names.into_iter().filter_map(|(ours, theirs)| Some((ours.to_owned(), config.get(theirs)?.clone())));
    let mut arguments: serde_json::Map<String, Value> = known.collect();
    arguments.insert("variant".to_owned(), "next".into());
    arguments.insert("nextline".to_owned(), false.into());
    Value::Object(arguments)
}

/// A consolidated file, or the folder of one.
fn official(path: &Path, options: &Options) -> Result<Parts> {
    let missing = |what: &str, option: &str| {
        Error::bad_request(option)
            .expected(format!("the folder of the {what}, which official checkpoints do not hold"))
            .found("none")
    };
    let (text, vae) = (options.text_encoder.clone(), options.vae.clone());
    let text = text.ok_or_else(|| missing("text encoder", "--text-encoder"))?;
    let vae = vae.ok_or_else(|| missing("autoencoder", "--vae"))?;
    let checkpoint = Checkpoint::open(path)?;
    let (variant, names) = network::official(&checkpoint)?;
    let config = match &options.config {
        Some(path) => official_config(path, variant)?,
        None => shapes::config(&checkpoint, variant)?,
    };
    // The parent of a bare name is empty.
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let root = if path.is_dir() { path } else { beside };
    Ok(Parts {
        denoiser: Network::denoiser(checkpoint, names)?,
        config,
        tokenizer: text.clone(),
        text,
        rules: defaults::rules(variant),
        vae,
        origin: Origin::Official,
        root: root.to_owned(),
    })
}

/// Upstream's arguments, flat or under `model`.
fn official_config(path: &Path, variant: Variant) -> Result<FlagDitConfig> {
    let all: Value = json(path, "the arguments of a denoiser")?;
    let mut arguments = all.get("model").cloned().unwrap_or(all);
    if let Some(arguments) = arguments.as_object_mut() {
        let name = if variant == Variant::Next { "next" } else { "flag" };
        arguments.entry("variant").or_insert_with(|| name.into());
        arguments.entry("nextline").or_insert_with(|| (variant == Variant::Flag).into());
    }
    parsed(path, arguments)
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

fn json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    serde_json::from_slice(&read_whole(path, MAX_JSON_BYTES)?).map_err(|error| {
        Error::bad_model(path.display().to_string())
            .expected(format!("the configuration of {what}"))
            .found(error.to_string())
    })
}

fn parsed<T: DeserializeOwned>(path: &Path, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        Error::bad_model(path.display().to_string()).expected("the arguments of a denoiser").found(error.to_string())
    })
}

fn value(config: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(config).map_err(|error| Error::bad_model("configuration").found(error.to_string()))
}
