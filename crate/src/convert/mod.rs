//! Checkpoints as they are downloaded → a model folder.
//!
//! [`places`] finds the networks of a diffusers pipeline, or of an official Lumina checkpoint with its text encoder and
//! autoencoder; [`source`] opens them with their configurations; [`network`] says what their tensors are called here and
//! sees that they are those their configurations call for; [`shapes`] reads the configuration of an official denoiser off
//! its tensors; [`defaults`] knows what each family is asked for. Then [`encode_ahead`] reads and packs the tensors on every
//! core while they are written in their order: no more than a shard and a few pieces of tensors are in memory.

mod defaults;
mod encode_ahead;
mod network;
mod places;
mod shapes;
mod source;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    error::{Error, Result},
    parts,
    weights::{
        Manifest, Writer,
        manifest::{Conditioning, FORMAT, VERSION},
        recipe::{Quant, Rule},
    },
};
use source::Source;

/// How a checkpoint is converted.
#[derive(Debug, Clone)]
pub struct Options {
    /// How matrices of the blocks are stored.
    pub quant: Quant,
    /// Instead of the rules of `quant`.
    pub recipe: Option<Vec<Rule>>,
    /// The denoiser's configuration, upstream's arguments, `input_size` of the models of labels too; absent: that of the diffusers pipeline, or read off the tensors.
    pub config: Option<PathBuf>,
    /// The folder of the text encoder and its tokenizer, which official checkpoints do not hold, and which denoisers of
    /// labels do without.
    pub text_encoder: Option<PathBuf>,
    /// The folder of the autoencoder, which official checkpoints do not hold.
    pub vae: Option<PathBuf>,
    /// Only this part of the source; absent: the whole of it.
    pub part: Option<Part>,
}

/// A part of a model that can be converted alone: to be compared with a reference, or because there is no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The text encoder with its tokenizer.
    Text,
    /// The denoiser.
    Denoiser,
    /// The autoencoder.
    ImageDecoder,
}

impl FromStr for Part {
    type Err = Error;

    /// By the names that components have in a manifest.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            parts::TEXT => Ok(Self::Text),
            parts::DENOISER => Ok(Self::Denoiser),
            parts::IMAGE_DECODER => Ok(Self::ImageDecoder),
            _ => Err(Error::bad_request("component").expected("text, denoiser or decoders.image").found(name)),
        }
    }
}

/// How far a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of tensors that were read.
    pub read: u64,
    /// Of so many.
    pub total: u64,
}

/// Converts the checkpoint `source` into the model folder `target`, which must not exist or be empty. `progress` is told
/// after every piece of a tensor; an error of it ends the conversion. Until the whole is written there is no folder of that name.
///
/// # Errors
///
/// `bad-model` that says what a file is, or lists every tensor that is missing, surplus or misshapen; `file` for what
/// cannot be read or written; those of `progress`.
pub fn convert(
    source: &Path,
    target: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Manifest> {
    let source = Source::open(source, options)?;
    let rules = options.recipe.clone().unwrap_or_else(|| options.quant.recipe());
    let mut writer = Writer::new(target)?;
    let tensors = encode_ahead::packings(&source.networks, &rules)?;
    encode_ahead::write(&tensors, &mut writer, progress)?;
    if let Some(tokenizer) = &source.tokenizer {
        writer.add_file(source::TOKENIZER, tokenizer)?;
    }
    for (name, bytes) in &source.documents {
        writer.add_file(name, bytes)?;
    }
    let image = || "image".to_owned();
    let (sizes, sampling) = source.defaults.map(|(sizes, sampling)| ((image(), sizes), (image(), sampling))).unzip();
    writer.finish(Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        name: source.name,
        license: source.license,
        created_by: format!("flagdit {}", env!("CARGO_PKG_VERSION")),
        modalities: vec![image()],
        conditioning: if source.is_of_labels { Conditioning::Labels } else { Conditioning::Text },
        sizes: sizes.into_iter().collect(),
        components: source.components,
        sampling: sampling.into_iter().collect(),
        recipe: rules,
        files: Vec::new(),
        tensors: Default::default(),
    })
}
