//! Where the networks of a source lie, and how their files are to be read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Options, Part, defaults, network, shapes};
use crate::{
    error::{Error, Result},
    model::{FlagDitConfig, Variant},
    text::{language_model::ModelType, tokenizer::TokenizerRules},
    weights::{
        checkpoint::{Checkpoint, read_json},
        manifest::{Sampling, Sizes},
        upstream::{self, Rename},
    },
};

/// What says that a folder is a diffusers pipeline.
const MODEL_INDEX: &str = "model_index.json";
/// Latent pixels along each side, for which nobody has trained a model of labels.
const MOST_INPUT: u32 = 1024;

/// The parts that are wanted of a source.
pub(super) struct Places {
    /// What the model is called after, and where licences are looked for.
    pub root: PathBuf,
    pub denoiser: Option<DenoiserPlace>,
    pub text: Option<TextPlace>,
    pub vae: Option<PathBuf>,
}

/// A denoiser, whose names are known.
pub(super) struct DenoiserPlace {
    pub checkpoint: Checkpoint,
    pub names: Rename,
    pub config: FlagDitConfig,
    pub origin: Origin,
}

/// A text encoder.
pub(super) struct TextPlace {
    pub folder: PathBuf,
    pub tokenizer: PathBuf,
    /// `LuminaPipeline` has rules of its own; else those of the family count.
    pub rules: Option<TokenizerRules>,
}

impl TextPlace {
    fn official(folder: PathBuf) -> Self {
        Self { tokenizer: folder.clone(), folder, rules: None }
    }

    /// What surrounds and limits the ids of a prompt.
    pub fn rules(&self, family: ModelType) -> TokenizerRules {
        let official = || match family {
            ModelType::Llama => defaults::rules(Variant::Flag),
            ModelType::Gemma => defaults::rules(Variant::Next),
        };
        self.rules.clone().unwrap_or_else(official)
    }
}

/// Who wrote a denoiser, which tells what it is asked for by default.
pub(super) enum Origin {
    Official,
    /// A model of labels, whose latents have so many pixels along each side.
    OfLabels {
        input_size: u32,
    },
    Diffusers {
        sample_size: u32,
        shift: f64,
    },
}

impl Origin {
    pub fn defaults(&self, config: &FlagDitConfig, factor: usize) -> (Sizes, Sampling) {
        match *self {
            Self::Official => defaults::official(config, factor),
            Self::OfLabels { input_size } => defaults::of_labels(config, factor, input_size),
            Self::Diffusers { sample_size, shift } => defaults::diffusers(config, factor, sample_size, shift),
        }
    }
}

impl Places {
    /// Finds what the options want of what lies at `path`.
    pub fn find(path: &Path, options: &Options) -> Result<Self> {
        // Before anything is said of what else official checkpoints need.
        fs::metadata(path).map_err(|error| Error::file(path.display(), &error))?;
        if path.join(MODEL_INDEX).is_file() { diffusers(path, options) } else { official(path, options) }
    }
}

/// A folder as diffusers writes it.
fn diffusers(root: &Path, options: &Options) -> Result<Places> {
    let wants = |part| options.part.is_none_or(|wanted| wanted == part);
    let text = match &options.text_encoder {
        Some(folder) => TextPlace { rules: Some(defaults::diffusers_rules()), ..TextPlace::official(folder.clone()) },
        None => TextPlace {
            folder: root.join("text_encoder"),
            tokenizer: root.join("tokenizer"),
            rules: Some(defaults::diffusers_rules()),
        },
    };
    Ok(Places {
        denoiser: wants(Part::Denoiser).then(|| diffusers_denoiser(root, options)).transpose()?,
        text: wants(Part::Text).then_some(text),
        vae: wants(Part::ImageDecoder).then(|| options.vae.clone().unwrap_or_else(|| root.join("vae"))),
        root: root.to_owned(),
    })
}

fn diffusers_denoiser(root: &Path, options: &Options) -> Result<DenoiserPlace> {
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
        Some(path) => official_config(path, Variant::Next)?.0,
        None => parsed(&transformer.join("config.json"), diffusers_config(&config))?,
    };
    Ok(DenoiserPlace {
        checkpoint: Checkpoint::open(&transformer)?,
        names: upstream::diffusers_next_dit,
        config,
        origin: Origin::Diffusers { sample_size, shift },
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

/// A consolidated file or the folder of one; if only another part is wanted, the folder of that.
fn official(path: &Path, options: &Options) -> Result<Places> {
    let named = |folder: &Option<PathBuf>, what: &str, option: &str| {
        folder.clone().ok_or_else(|| {
            Error::bad_request(option)
                .expected(format!("the folder of the {what}, which official checkpoints do not hold"))
                .found("none")
                .remedy("--component denoiser converts the denoiser alone")
        })
    };
    // The parent of a bare name is empty.
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let nothing =
        Places { root: if path.is_dir() { path } else { beside }.to_owned(), denoiser: None, text: None, vae: None };
    Ok(match options.part {
        None => {
            let denoiser = official_denoiser(path, options)?;
            let text = match (denoiser.config.num_classes, &options.text_encoder) {
                (None, text) => Some(TextPlace::official(named(text, "text encoder", "--text-encoder")?)),
                (Some(_), None) => None,
                (Some(_), Some(folder)) => {
                    return Err(Error::bad_request("--text-encoder")
                        .expected("none: the denoiser knows labels")
                        .found(folder.display().to_string()));
                }
            };
            let vae = named(&options.vae, "autoencoder", "--vae")?;
            Places { denoiser: Some(denoiser), text, vae: Some(vae), ..nothing }
        }
        Some(Part::Denoiser) => Places { denoiser: Some(official_denoiser(path, options)?), ..nothing },
        Some(Part::Text) => Places { text: Some(TextPlace::official(path.to_owned())), ..nothing },
        Some(Part::ImageDecoder) => Places { vae: Some(path.to_owned()), ..nothing },
    })
}

fn official_denoiser(path: &Path, options: &Options) -> Result<DenoiserPlace> {
    let checkpoint = Checkpoint::open(path)?;
    let (variant, names) = network::official(&checkpoint)?;
    let (config, input_size) = match &options.config {
        Some(path) => official_config(path, variant)?,
        None => (shapes::config(&checkpoint, variant)?, None),
    };
    let origin = match config.num_classes {
        Some(_) => Origin::OfLabels { input_size: input_size.unwrap_or(defaults::INPUT_SIZE) },
        None => Origin::Official,
    };
    Ok(DenoiserPlace { checkpoint, names, config, origin })
}

/// Upstream's arguments, flat or under `model`, and among those of models of labels `input_size`.
fn official_config(path: &Path, variant: Variant) -> Result<(FlagDitConfig, Option<u32>)> {
    let all: Value = json(path, "the arguments of a denoiser")?;
    let mut arguments = all.get("model").cloned().unwrap_or(all);
    let mut input_size: Option<u32> = None;
    if let Some(arguments) = arguments.as_object_mut() {
        let is_of_labels = arguments.contains_key("num_classes");
        let name = if variant == Variant::Next { "next" } else { "flag" };
        arguments.entry("variant").or_insert_with(|| name.into());
        // Its rows end with a learned token where a caption tells what is drawn, and with nothing where a label does.
        arguments.entry("nextline").or_insert_with(|| (variant == Variant::Flag && !is_of_labels).into());
        if is_of_labels {
            arguments.remove("class_dropout_prob"); // Of training alone.
            input_size = arguments.remove("input_size").map(|size| parsed(path, size)).transpose()?;
        }
    }
    let config: FlagDitConfig = parsed(path, arguments)?;
    match input_size {
        Some(size) if size == 0 || size > MOST_INPUT || !(size as usize).is_multiple_of(config.patch_size.max(1)) => {
            Err(Error::bad_model(format!("{}: input_size", path.display()))
                .expected(format!("a multiple of patch_size {}, at most {MOST_INPUT}", config.patch_size))
                .found(size.to_string()))
        }
        _ => Ok((config, input_size)),
    }
}

/// A JSON file that holds the configuration of `what`.
pub(super) fn json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    read_json(path, format!("the configuration of {what}"))
}

fn parsed<T: DeserializeOwned>(path: &Path, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        Error::bad_model(path.display().to_string()).expected("the arguments of a denoiser").found(error.to_string())
    })
}
