//! What a pipeline is made of, loaded.

use burn::tensor::Device;

use crate::{
    decode::{griffin_lim::GriffinLim, mel::MelConfig, vae::AutoencoderKl},
    error::Result,
    model::FlagDit,
    parts::{self, autoencoder_config, belong_together, denoiser_config, text_config},
    progress::{LoadProgress, LoadStage},
    request::Kind,
    text::{embeddings::TABLE, language_model::LanguageModel, tokenizer::Tokenizer},
    weights::Reader,
};

/// Everything between a prompt and a picture.
pub struct Parts {
    pub tokenizer: Tokenizer,
    pub text: LanguageModel,
    pub denoiser: FlagDit,
    pub vae: AutoencoderKl,
    /// Where the model makes sound.
    pub sound: Option<(MelConfig, GriffinLim)>,
}

impl Parts {
    /// The parts that the manifest names, on `device`; `progress` hears of every tensor.
    pub async fn load(reader: &Reader, device: &Device, progress: &mut dyn FnMut(LoadProgress)) -> Result<Self> {
        let manifest = reader.manifest();
        let sizes = manifest.sizes.get(Kind::Image.name());
        belong_together(&text_config(reader)?, &denoiser_config(reader)?, &autoencoder_config(reader)?, sizes)?;
        let sound = parts::sound(reader)?;
        let in_files = manifest.files.iter().map(|file| file.bytes).sum();
        let moves = |name: &&String| name.as_str() != TABLE; // Its rows are read when a prompt asks for them.
        let in_tensors = manifest.tensors.keys().filter(moves).map(|name| reader.bytes(name)).sum();
        let mut uploaded = 0;
        let mut moved = |bytes| {
            uploaded += bytes;
            progress(LoadProgress { stage: LoadStage::Verify, loaded: reader.verified(), total: in_files });
            progress(LoadProgress { stage: LoadStage::Upload, loaded: uploaded, total: in_tensors });
        };
        Ok(Self {
            tokenizer: parts::tokenizer(reader).await?,
            text: parts::text(reader, device, &mut moved).await?,
            denoiser: parts::denoiser(reader, device, &mut moved).await?,
            vae: parts::autoencoder(reader, device, &mut moved).await?,
            sound,
        })
    }
}
