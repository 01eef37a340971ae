//! A network of a checkpoint: its tensors by our names, and whether they are all there.

use std::ops::Range;

use burn::tensor::Device;

use crate::{
    decode::vae::{AutoencoderKl, VaeConfig},
    error::{Error, Result},
    model::{FlagDit, FlagDitConfig, Variant},
    parts,
    text::language_model::{LanguageModel, LanguageModelConfig},
    weights::{
        checkpoint::{Checkpoint, TensorInfo},
        params::Params,
        upstream::{self, Rename},
    },
};

/// One tensor, as it is called on both sides.
pub(super) struct Tensor {
    /// Ours, with the component before it.
    pub name: String,
    theirs: String,
    /// Ours; a 1×1 convolution upstream may be a matrix here.
    pub shape: Vec<usize>,
    /// As it is stored upstream.
    pub bytes: u64,
}

/// A checkpoint with its place in the model.
pub(super) struct Network {
    checkpoint: Checkpoint,
    component: &'static str,
    tensors: Vec<Tensor>,
}

impl Network {
    /// A Flag-DiT or Next-DiT, by upstream's names or by diffusers'.
    pub fn denoiser(checkpoint: Checkpoint, names: Rename) -> Result<Self> {
        Self::new(checkpoint, parts::DENOISER, names)
    }

    /// A text encoder.
    pub fn text(checkpoint: Checkpoint) -> Result<Self> {
        Self::new(checkpoint, parts::TEXT, upstream::language_model)
    }

    /// An autoencoder.
    pub fn vae(checkpoint: Checkpoint) -> Result<Self> {
        Self::new(checkpoint, parts::IMAGE_DECODER, upstream::autoencoder_kl)
    }

    fn new(checkpoint: Checkpoint, component: &'static str, rename: Rename) -> Result<Self> {
        if let Some(what) = checkpoint.describe() {
            return Err(Error::bad_model(checkpoint.name())
                .expected(format!("the {component} of a Lumina-T2I or Lumina-Next"))
                .found(what)
                .remedy("other models are not converted"));
        }
        let kept = checkpoint.tensors().filter_map(|(theirs, info)| {
            let shape = match component {
                parts::IMAGE_DECODER => upstream::autoencoder_kl_shape(theirs, &info.shape),
                _ => &info.shape,
            };
            let name = format!("{component}.{}", rename(theirs)?);
            Some(Tensor { name, theirs: theirs.to_owned(), shape: shape.to_vec(), bytes: info.bytes })
        });
        Ok(Self { tensors: kept.collect(), checkpoint, component })
    }

    /// Those that are kept.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Rows of a tensor.
    pub fn read(&self, tensor: &Tensor, rows: Range<usize>) -> Result<Vec<f32>> {
        self.checkpoint.read(&tensor.theirs, rows)
    }

    /// Refuses a denoiser whose tensors are not those of `config`.
    pub fn check_denoiser(&self, config: &FlagDitConfig) -> Result<()> {
        FlagDit::new(config, &self.declared()).map(drop)
    }

    /// Refuses a text encoder whose tensors are not those of `config`.
    pub fn check_text(&self, config: &LanguageModelConfig) -> Result<()> {
        LanguageModel::new(config, &self.declared()).map(drop)
    }

    /// Refuses an autoencoder whose tensors are not those of `config`.
    pub fn check_vae(&self, config: &VaeConfig) -> Result<()> {
        AutoencoderKl::new(config, &self.declared()).map(drop)
    }

    fn declared(&self) -> Params {
        let short = |tensor: &Tensor| (tensor.name[self.component.len() + 1..].to_owned(), tensor.shape.clone());
        Params::declared(self.tensors.iter().map(short), &Device::flex())
    }
}

/// Which names an official denoiser's tensors have, told by those that only one family has.
pub(super) fn official(checkpoint: &Checkpoint) -> Result<(Variant, Rename)> {
    let labels = checkpoint.tensor("y_embedder.embedding_table.weight").is_some();
    let rows = |name: &str| checkpoint.tensor(name).map(TensorInfo::rows);
    // Six parts a block in Flag-DiT, four in Next-DiT, which shifts nothing.
    match rows("layers.0.adaLN_modulation.1.bias").zip(rows("x_embedder.bias")) {
        Some((modulation, dim)) if modulation == 6 * dim && labels => Ok((Variant::Flag, upstream::flag_dit_of_labels)),
        Some((modulation, dim)) if modulation == 6 * dim => Ok((Variant::Flag, upstream::flag_dit)),
        Some((modulation, dim)) if modulation == 4 * dim && labels => Ok((Variant::Next, upstream::next_dit_of_labels)),
        Some((modulation, dim)) if modulation == 4 * dim => Ok((Variant::Next, upstream::next_dit)),
        _ => Err(Error::bad_model("denoiser")
            .expected("the tensors of a Lumina-T2I or Lumina-Next (x_embedder, layers.0.adaLN_modulation.1, …)")
            .found(checkpoint.describe().unwrap_or("other names").to_owned())
            .remedy("name the consolidated file or its folder, or the folder of a diffusers pipeline")),
    }
}
