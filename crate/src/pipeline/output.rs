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
    /// What people see and hear of a latent. `tell` hears how many of how many parts are done.
    pub(super) async fn decode(
        &self,
        latent: Tensor<4>,
        settings: &Settings,
        plan: &Plan,
        tell: &dyn Fn(usize, usize),
    ) -> Result<(Vec<Image>, Option<Waveform>)> {
        let pictures = self.pictures(latent.clone(), settings, plan, tell).await?;
        Ok((pictures, self.waveform(latent, settings, tell).await?))
    }

    /// The pictures that a latent holds, decoded one by one, so that a long video needs no more memory than a picture, and
    /// a large picture by tiles. Of a sound its spectrogram.
    pub(super) async fn pictures(
        &self,
        latent: Tensor<4>,
        settings: &Settings,
        plan: &Plan,
        tell: &dyn Fn(usize, usize),
    ) -> Result<Vec<Image>> {
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
            let mut parts = 1;
            let mut between = async |done: usize, of: usize| {
                parts = of;
                tell(place * of + done, count * of);
                pause().await;
            };
            let picture = vae.decode_within(frame, most, &mut between).await?;
            pictures.push(image::to_image(picture).await?);
            tell((place + 1) * parts, count * parts);
        }
        Ok(pictures)
    }

    /// The sound of a spectrogram, where the settings ask for one.
    async fn waveform(
        &self,
        latent: Tensor<4>,
        settings: &Settings,
        tell: &dyn Fn(usize, usize),
    ) -> Result<Option<Waveform>> {
        if settings.kind != Kind::Audio {
            return Ok(None);
        }
        let (mel, griffin_lim) = self.sound()?;
        let frames = latent.dims()[3];
        let mut reconstruction = griffin_lim.start(&audio::values(latent).await?, frames)?;
        let mut done = 0;
        while reconstruction.step() {
            done += 1;
            tell(done, mel.iterations);
            pause().await;
        }
        tell(mel.iterations, mel.iterations);
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
