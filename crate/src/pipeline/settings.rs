//! A request with the manifest's defaults filled in, checked against what the model can do.

use super::Pipeline;
use crate::{
    error::{Error, Result},
    modality::{audio, frames, image},
    model::LatentShape,
    progress::Settings,
    request::{Kind, Request},
    sampler::solver::SolverKind,
    weights::manifest::{Frames, Sampling, Sizes},
};

impl Pipeline {
    /// The request with the manifest's defaults filled in.
    ///
    /// # Errors
    ///
    /// `bad-request` that names what the model cannot do.
    pub fn settings(&self, request: &Request) -> Result<Settings> {
        request.check()?;
        let (sampling, sizes) = self.of_kind(request.kind)?;
        let solver = request.solver.clone().unwrap_or_else(|| sampling.solver.clone());
        let mut settings = Settings {
            kind: request.kind,
            prompt: request.prompt.clone(),
            negative_prompt: request.negative_prompt.clone(),
            width: 0,
            height: 0,
            frames: None,
            fps: None,
            is_loop: request.is_loop,
            transitions: request.transitions.clone(),
            views: None,
            seconds: None,
            steps: request.steps.unwrap_or(sampling.steps as usize),
            guidance: request.guidance.unwrap_or(sampling.guidance),
            solver: solver.parse::<SolverKind>()?.name().to_owned(),
            time_shift: request.time_shift.unwrap_or(sampling.time_shift),
            seed: request.seed,
            model: self.manifest().name.clone(),
            model_hash: self.identity().to_owned(),
        };
        self.measure(request, sizes, &mut settings)?;
        Ok(settings)
    }

    fn of_kind(&self, kind: Kind) -> Result<(&Sampling, &Sizes)> {
        let manifest = self.manifest();
        let (sampling, sizes) = (manifest.sampling.get(kind.name()), manifest.sizes.get(kind.name()));
        sampling.zip(sizes).ok_or_else(|| {
            Error::bad_request(format!("kind {}", kind.name()))
                .expected(format!("one of what {} makes ({})", manifest.name, manifest.modalities.join(", ")))
                .remedy("ask for one of these, or open another model")
        })
    }

    /// Fills in how large the output is.
    fn measure(&self, request: &Request, sizes: &Sizes, settings: &mut Settings) -> Result<()> {
        if request.kind == Kind::Audio {
            settings.seconds = request.seconds;
            settings.seconds = Some(self.sound_length(settings)?.seconds);
            return Ok(());
        }
        (settings.width, settings.height) = image::size(sizes, request.width, request.height)?;
        let factor = self.parts.vae.factor();
        let (height, width) = (settings.height / factor, settings.width / factor);
        let memory = |frames| self.memory(settings, LatentShape::Frames { frames, height, width });
        let counts = sizes.frames.unwrap_or(Frames { native: 1, max: 1, fps: None });
        match request.kind {
            Kind::Video => {
                let count = frames::count("frames", &counts, request.frames, memory)?;
                frames::prompt_weights(&request.transitions, count)?;
                settings.frames = Some(count);
                settings.fps = request.fps.or_else(|| counts.fps.map(f64::from)).or(Some(1.0));
            }
            Kind::Views => settings.views = Some(frames::count("views", &counts, request.views, memory)?),
            Kind::Image | Kind::Audio => {}
        }
        Ok(())
    }

    /// About how many bytes an evaluation needs: the scores of all heads and what becomes of them, and a few copies of
    /// the tokens.
    fn memory(&self, settings: &Settings, shape: LatentShape) -> f64 {
        const SCORES: f64 = 2.0;
        const COPIES: f64 = 12.0;
        let config = self.parts.denoiser.config();
        let tokens = self.parts.denoiser.layout(shape).tokens() as f64;
        let rows = (settings.transitions.len() + 2) as f64;
        let scores = SCORES * config.n_heads as f64 * tokens * tokens;
        rows * size_of::<f32>() as f64 * (scores + COPIES * tokens * config.dim as f64)
    }

    /// How long the sound is that these settings ask for.
    ///
    /// # Errors
    ///
    /// Those of [`audio::length`], which settings of [`Self::settings`] do not meet.
    pub(super) fn sound_length(&self, settings: &Settings) -> Result<audio::Length> {
        let (_, sizes) = self.of_kind(Kind::Audio)?;
        let (mel, _) = self.sound()?;
        audio::length(sizes, mel, settings.seconds, |frames| self.memory(settings, LatentShape::Spectrogram { frames }))
    }
}
