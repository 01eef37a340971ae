//! A model without its weights: a request with the manifest's defaults filled in, checked against what the model can do.

use super::{rows, sampling};
use crate::{
    decode::{mel::MelConfig, vae::VaeConfig},
    error::{Error, Result},
    modality::{audio, frames, image},
    model::{FlagDitConfig, LatentShape},
    parts,
    progress::Settings,
    request::{Kind, Request},
    sampler::solver::SolverKind,
    text::language_model::LanguageModelConfig,
    weights::{
        identity,
        manifest::{Frames, Manifest, Sampling, Sizes},
    },
};

/// More frames than this are not counted.
const MOST: usize = 1 << 24;

/// A model without its weights: what its manifest says, understood and checked. It knows what a request asks for before
/// anything is downloaded or loaded.
#[derive(Debug, Clone)]
pub struct Blueprint {
    manifest: Manifest,
    identity: String,
    /// The text encoder; none where the denoiser knows labels ([`FlagDitConfig::num_classes`]).
    pub text: Option<LanguageModelConfig>,
    /// The denoiser.
    pub denoiser: FlagDitConfig,
    /// The decoder of pictures.
    pub vae: VaeConfig,
    /// Where the model makes sound.
    pub mel: Option<MelConfig>,
}

impl Blueprint {
    /// Reads the text of a `manifest.json`.
    ///
    /// # Errors
    ///
    /// `bad-model` if it is none, or not that of a whole model.
    pub fn parse(text: &[u8]) -> Result<Self> {
        Self::new(&Manifest::parse(text)?, &identity(text))
    }

    /// What a manifest describes; `identity` is its hash.
    ///
    /// # Errors
    ///
    /// `bad-model` if it is not that of a whole model, or its networks do not belong together.
    pub fn new(manifest: &Manifest, identity: &str) -> Result<Self> {
        let denoiser = parts::denoiser_config(manifest)?;
        let blueprint = Self {
            text: parts::conditioner(manifest, &denoiser)?,
            denoiser,
            vae: parts::autoencoder_config(manifest)?,
            mel: parts::mel_config(manifest)?,
            manifest: manifest.clone(),
            identity: identity.to_owned(),
        };
        let sizes = manifest.sizes.get(Kind::Image.name());
        parts::belong_together(blueprint.text.as_ref(), &blueprint.denoiser, &blueprint.vae, sizes)?;
        Ok(blueprint)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest, which pins every byte of the model.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The request with the manifest's defaults filled in.
    ///
    /// # Errors
    ///
    /// `bad-request` that names what the model cannot do.
    pub fn settings(&self, request: &Request) -> Result<Settings> {
        request.check()?;
        self.check_subject(request)?;
        let (sampling, sizes) = self.of_kind(request.kind)?;
        let solver = request.solver.clone().unwrap_or_else(|| sampling.solver.clone());
        let mut settings = Settings {
            kind: request.kind,
            prompt: request.prompt.clone(),
            class: request.class,
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
            model: self.manifest.name.clone(),
            model_hash: self.identity.clone(),
        };
        self.measure(request, sizes, &mut settings)?;
        Ok(settings)
    }

    /// What the model makes where nothing is asked for: its first kind, as it was trained.
    ///
    /// # Errors
    ///
    /// `bad-model` if it makes nothing.
    pub fn typical(&self) -> Result<Settings> {
        let kinds = Kind::ALL.into_iter().filter(|kind| self.of_kind(*kind).is_ok());
        let kind = kinds
            .into_iter()
            .next()
            .ok_or_else(|| Error::bad_model("sampling").expected("how something is sampled").found("nothing"))?;
        self.settings(&self.example(kind))
    }

    /// A request of this kind that the model can meet, for when it does not matter what is made.
    pub fn example(&self, kind: Kind) -> Request {
        match self.denoiser.num_classes {
            Some(_) => Request::of_class(kind, 0),
            None => Request::new(kind, "a"),
        }
    }

    /// Refuses words where the model knows labels, labels where it knows words, and labels that it does not know.
    fn check_subject(&self, request: &Request) -> Result<()> {
        let name = &self.manifest.name;
        let classes = |count: usize| format!("0 to {}", count - 1);
        match (self.denoiser.num_classes, request.class) {
            (None, None) => Ok(()),
            (Some(count), Some(class)) if class < count => Ok(()),
            (Some(count), Some(class)) => Err(Error::bad_request("class")
                .expected(format!("{}, the classes of {name}", classes(count)))
                .found(class.to_string())),
            (Some(count), None) => Err(Error::bad_request("prompt")
                .expected(format!("a class instead, {}", classes(count)))
                .found("a text")
                .remedy(format!("{name} knows classes, not words: ask for one of them, or open another model"))),
            (None, Some(class)) => Err(Error::bad_request("class")
                .expected("a prompt instead")
                .found(class.to_string())
                .remedy(format!("{name} makes what a text says: describe it, or open another model"))),
        }
    }

    fn of_kind(&self, kind: Kind) -> Result<(&Sampling, &Sizes)> {
        let manifest = &self.manifest;
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
        let factor = self.vae.factor();
        let (height, width) = (settings.height / factor, settings.width / factor);
        let memory =
            |frames: usize| self.sampling(settings, LatentShape::Frames { frames: frames.min(MOST), height, width });
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

    /// How long the sound is that these settings ask for.
    ///
    /// # Errors
    ///
    /// Those of [`audio::length`], which settings of [`Self::settings`] do not meet.
    pub fn sound_length(&self, settings: &Settings) -> Result<audio::Length> {
        let (_, sizes) = self.of_kind(Kind::Audio)?;
        let mel = self.mel()?;
        audio::length(sizes, mel, settings.seconds, |frames| {
            self.sampling(settings, LatentShape::Spectrogram { frames: frames.min(MOST) })
        })
    }

    /// Bytes that all rows of the batch would work with.
    fn sampling(&self, settings: &Settings, shape: LatentShape) -> f64 {
        sampling(self, settings, shape, rows(settings))
    }

    /// The spectrograms of its sound.
    ///
    /// # Errors
    ///
    /// `bad-model` if it makes none.
    pub fn mel(&self) -> Result<&MelConfig> {
        self.mel
            .as_ref()
            .ok_or_else(|| Error::bad_model("components.decoders").expected("an audio decoder").found("none"))
    }

    /// Frames of a video or of views; one picture otherwise.
    pub fn frames(settings: &Settings) -> usize {
        settings.frames.or(settings.views).unwrap_or(1)
    }

    /// The extent of what these settings make, in the denoiser's space.
    ///
    /// # Errors
    ///
    /// `bad-request` for settings that [`Self::settings`] did not make.
    pub fn shape(&self, settings: &Settings) -> Result<LatentShape> {
        let factor = self.vae.factor();
        Ok(match settings.kind {
            Kind::Audio => LatentShape::Spectrogram { frames: self.sound_length(settings)?.frames },
            Kind::Image | Kind::Video | Kind::Views => LatentShape::Frames {
                frames: Self::frames(settings),
                height: settings.height / factor,
                width: settings.width / factor,
            },
        })
    }

    /// Tokens of the denoiser's sequence for these settings.
    ///
    /// # Errors
    ///
    /// As [`Self::shape`].
    pub fn tokens(&self, settings: &Settings) -> Result<usize> {
        Ok(self.denoiser.layout(self.shape(settings)?).tokens())
    }
}
