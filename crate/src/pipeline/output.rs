//! Latents to what people see and hear.

use burn::tensor::Tensor;

use super::Pipeline;
use crate::{
    decode::{griffin_lim::GriffinLim, mel::MelConfig},
    error::{Error, Result},
    modality::{audio, frames, image},
    output::spectrogram,
    plan::{Blueprint, Plan},
    progress::{Image, Settings, Waveform, pause},
    request::Kind,
};

impl Pipeline {
    /// The pictures that a latent holds, decoded one by one, so that a long video needs no more memory than a picture, and
    /// a large picture by tiles. Of a sound its spectrogram.
    pub(super) async fn pictures(&self, latent: Tensor<4>, settings: &Settings, plan: &Plan) -> Result<Vec<Image>> {
        if settings.kind == Kind::Audio {
            let [_, _, bands, frames] = latent.dims();
            return Ok(vec![spectrogram::spectrogram(&audio::values(latent).await?, bands, frames)]);
        }
        let vae = self.vae(plan).await?;
        let count = Blueprint::frames(settings);
        let mut pictures = Vec::with_capacity(count);
        for place in 0..count {
            pause().await;
            let frame = frames::frame(&latent, count, place);
            let most = self.device.capacity().tensor_bytes() as usize;
            let picture = vae.decode_within(frame, most, &mut pause).await?;
            pictures.push(image::to_image(picture).await?);
        }
        Ok(pictures)
    }

    /// The sound of a spectrogram, where the settings ask for one.
    pub(super) async fn waveform(&self, latent: Tensor<4>, settings: &Settings) -> Result<Option<Waveform>> {
        if settings.kind != Kind::Audio {
            return Ok(None);
        }
        let (mel, griffin_lim) = self.sound()?;
        let frames = latent.dims()[3];
        let mut reconstruction = griffin_lim.start(&audio::values(latent).await?, frames)?;
        while reconstruction.step() {
            pause().await;
        }
        let mut samples = reconstruction.finish();
        samples.truncate(self.blueprint.sound_length(settings)?.samples);
        Ok(Some(Waveform { samples, sample_rate: mel.sample_rate }))
    }

    /// What makes sound of spectrograms.
    fn sound(&self) -> Result<(&MelConfig, &GriffinLim)> {
        let mel = self.blueprint.mel()?;
        let griffin_lim = self.griffin_lim.as_ref();
        Ok((mel, griffin_lim.ok_or_else(|| Error::bad_model("components.decoders").found("no audio decoder"))?))
    }
}
