//! Checkpoints as they are downloaded → a model folder.
//!
//! [`source`] finds the networks of a diffusers pipeline, or of an official Lumina checkpoint with its text encoder and
//! autoencoder; [`network`] says what their tensors are called here and sees that they are those their configurations call
//! for; [`shapes`] reads the configuration of an official denoiser off its tensors; [`defaults`] knows what each family is
//! asked for. Then [`encode_ahead`] reads and packs the tensors on every core while they are written in their order: no more
//! than a shard and a few pieces of tensors are in memory.

mod defaults;
mod encode_ahead;
mod network;
mod shapes;
mod source;

use std::path::{Path, PathBuf};

use crate::{
    error::Result,
    weights::{
        Manifest, Writer,
        manifest::{FORMAT, VERSION},
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
    /// The denoiser's configuration, upstream's arguments; absent: that of the diffusers pipeline, or read off the tensors.
    pub config: Option<PathBuf>,
    /// The folder of the text encoder and its tokenizer, which official checkpoints do not hold.
    pub text_encoder: Option<PathBuf>,
    /// The folder of the autoencoder, which official checkpoints do not hold.
    pub vae: Option<PathBuf>,
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
    let tensors = encode_ahead::packings(&[&source.text, &source.denoiser, &source.vae], &rules)?;
    encode_ahead::write(&tensors, &mut writer, progress)?;
    writer.add_file(source::TOKENIZER, &source.tokenizer)?;
    for (name, bytes) in &source.documents {
        writer.add_file(name, bytes)?;
    }
    writer.finish(Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        name: source.name,
        license: source.license,
        created_by: format!("flagdit {}", env!("CARGO_PKG_VERSION")),
        modalities: vec!["image".to_owned()],
        sizes: [("image".to_owned(), source.sizes)].into(),
        components: source.components,
        sampling: [("image".to_owned(), source.sampling)].into(),
        recipe: rules,
        files: Vec::new(),
        tensors: Default::default(),
    })
}
