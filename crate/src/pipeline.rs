//! A prompt's way to a picture. The verbs of [`Pipeline::generate`] stand in the order in which they run.

use std::{cell::RefCell, rc::Rc, time::Instant};

use async_stream::try_stream;
use burn::tensor::{Tensor, TensorData};
use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::{
    decode::vae::AutoencoderKl,
    device::Device,
    error::{Error, Result},
    modality,
    model::{Caption, FlagDit, Sequence, SequenceOptions},
    progress::{Event, Image, Output, Settings, Stage, Timings},
    request::{Kind, Request},
    sampler::{
        Tolerance, ensure_finite,
        guidance::{Guidance, GuidedChannels},
        noise,
        schedule::time_grid,
        solver::{Solver, SolverKind},
    },
    text::{
        language_model::{LanguageModel, batch_ids},
        tokenizer::{Tokenizer, TokenizerRules},
    },
    weights::{
        ByteSource, Reader,
        manifest::{Component, Manifest, Sampling},
        params::Params,
    },
};

/// A model on a device, ready to generate.
pub struct Pipeline {
    reader: Reader,
    device: Device,
    tokenizer: Tokenizer,
    text: LanguageModel,
    denoiser: FlagDit,
    vae: AutoencoderKl,
}

/// What one run of the sampler needs.
struct Run {
    sequence: Sequence,
    caption: Caption,
    guidance: Guidance,
}

impl Pipeline {
    /// Reads the model from `source`, checks it and moves it to `device`.
    ///
    /// # Errors
    ///
    /// `bad-model`, `integrity` or `file` that name what was expected and what was found.
    pub async fn open(source: impl ByteSource + 'static, device: Device) -> Result<Self> {
        let reader = Reader::open(Rc::new(source)).await?;
        let components = &reader.manifest().components;
        let image = components
            .decoders
            .get(Kind::Image.name())
            .ok_or_else(|| Error::bad_model("components.decoders").expected("an image decoder").found("none"))?;
        let at = device.burn();
        let text_config = config("text", "llama", &components.text)?;
        let tokenizer = tokenizer(&reader, &components.text, &text_config).await?;
        let text = LanguageModel::new(&text_config, &Params::load(&reader, "text", at).await?)?;
        let denoiser_config = config("denoiser", "flag-dit", &components.denoiser)?;
        let denoiser = FlagDit::new(&denoiser_config, &Params::load(&reader, "denoiser", at).await?)?;
        let vae_config = config("decoders.image", "autoencoder-kl", image)?;
        let vae = AutoencoderKl::new(&vae_config, &Params::load(&reader, "decoders.image", at).await?)?;
        let fits = denoiser_config.cap_feat_dim == text_config.hidden_size
            && denoiser_config.in_channels == vae_config.latent_channels;
        if !fits {
            return Err(Error::bad_model("components")
                .expected("a text encoder and an autoencoder whose widths the denoiser takes")
                .found(format!(
                    "features of {} for {}, latents of {} channels for {}",
                    text_config.hidden_size,
                    denoiser_config.cap_feat_dim,
                    vae_config.latent_channels,
                    denoiser_config.in_channels
                )));
        }
        Ok(Self { reader, device, tokenizer, text, denoiser, vae })
    }

    /// The model's manifest.
    pub fn manifest(&self) -> &Manifest {
        self.reader.manifest()
    }

    /// SHA-256 of the manifest, which pins every byte of the model.
    pub fn identity(&self) -> &str {
        self.reader.identity()
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Tokens of the denoiser's sequence for a picture of this size.
    pub fn tokens(&self, width: usize, height: usize) -> usize {
        let pixels = self.vae.factor();
        let options = SequenceOptions::default();
        self.denoiser.sequence(height / pixels, width / pixels, options, self.device.burn()).layout.tokens()
    }

    /// Floating point operations of one solver step of the denoiser ([`crate::model::FlagDitConfig::flops`]); dopri5 is
    /// counted as if no step were tried twice.
    ///
    /// # Errors
    ///
    /// `bad-request` if the prompt cannot be encoded.
    pub fn step_flops(&self, settings: &Settings) -> Result<f64> {
        let (caption, _) = self.encode(settings)?;
        let [rows, caption_tokens] = self.run(settings, caption)?.caption.mask.dims();
        let tokens = self.tokens(settings.width, settings.height);
        let evaluations = settings.solver.parse::<SolverKind>()?.stages();
        Ok(evaluations as f64 * self.denoiser.config().flops(rows, tokens, caption_tokens))
    }

    /// Generates, event after event; the last one is [`Event::Done`]. Dropping the stream stops the work within one
    /// solver step.
    pub fn generate(&mut self, request: Request) -> impl Stream<Item = Result<Event>> + '_ {
        try_stream! {
            let settings = self.settings(&request)?;
            let mut timings = Timings::default();

            yield Event::Stage(Stage::Encode);
            let start = Instant::now();
            let (caption, cut) = self.encode(&settings)?;
            for warning in cut {
                yield Event::Warning(warning);
            }
            timings.encode_ms = milliseconds(start);

            yield Event::Stage(Stage::Sample);
            let start = Instant::now();
            let noise = self.noise(&settings);
            let run = self.run(&settings, caption)?;
            let grid = time_grid(settings.steps, settings.time_shift);
            let kind: SolverKind = settings.solver.parse()?;
            let mut solver = Solver::new(kind, grid.clone(), Tolerance::default(), noise)?;
            let seen = RefCell::new(None);
            for (step, &t) in grid[1..].iter().enumerate() {
                let mut velocity = async |x: Tensor<4>, t: f64| {
                    let v = self.velocity(x.clone(), t, &run);
                    seen.replace(Some((x, v.clone(), t)));
                    Ok(v)
                };
                let x = solver.step(&mut velocity).await?;
                // Reading one number back keeps the device from running ahead, so that a dropped stream stops it.
                ensure_finite(x, t).await?;
                yield Event::Step { step: step + 1, steps: settings.steps };
                if request.preview_every > 0 && (step + 1) % request.preview_every == 0 && step + 1 < settings.steps {
                    let last = seen.take();
                    if let Some((x, v, t)) = last {
                        yield Event::Preview(self.decode(x + v * (1.0 - t)).await?);
                    }
                }
            }
            timings.sample_ms = milliseconds(start);

            yield Event::Stage(Stage::Decode);
            let start = Instant::now();
            let image = self.decode(solver.x().clone()).await?;
            timings.decode_ms = milliseconds(start);
            yield Event::Done(Output { kind: settings.kind, frames: vec![image], settings, timings });
        }
    }

    /// The request with the manifest's defaults filled in.
    ///
    /// # Errors
    ///
    /// `bad-request` that names what the model cannot do.
    pub fn settings(&self, request: &Request) -> Result<Settings> {
        request.check()?;
        let kind = request.kind.name();
        let manifest = self.manifest();
        let (Some(sampling), Some(sizes)) = (manifest.sampling.get(kind), manifest.sizes.get(kind)) else {
            return Err(Error::bad_request(format!("kind {kind}"))
                .expected(format!("one of what {} makes ({})", manifest.name, manifest.modalities.join(", ")))
                .remedy("ask for one of these, or open another model"));
        };
        let (width, height) = modality::image::size(sizes, request.width, request.height)?;
        let solver = request.solver.clone().unwrap_or_else(|| sampling.solver.clone());
        Ok(Settings {
            kind: request.kind,
            prompt: request.prompt.clone(),
            negative_prompt: request.negative_prompt.clone(),
            width,
            height,
            steps: request.steps.unwrap_or(sampling.steps as usize),
            guidance: request.guidance.unwrap_or(sampling.guidance),
            solver: solver.parse::<SolverKind>()?.name().to_owned(),
            time_shift: request.time_shift.unwrap_or(sampling.time_shift),
            seed: request.seed,
            model: manifest.name.clone(),
            model_hash: self.identity().to_owned(),
        })
    }

    /// Prompt and negative prompt as rows 0 and 1 of a batch, and what was cut.
    fn encode(&self, settings: &Settings) -> Result<(Caption, Vec<String>)> {
        let mut warnings = Vec::new();
        let mut rows = Vec::new();
        for (name, text) in [("prompt", &settings.prompt), ("negative prompt", &settings.negative_prompt)] {
            let encoded = self.tokenizer.encode(text)?;
            if let Some(cut) = encoded.cut {
                let most = self.tokenizer.rules().max_tokens;
                warnings.push(format!("the {name} is longer than {most} tokens; not used: {}", excerpt(&cut)));
            }
            rows.push(encoded.ids);
        }
        let (ids, mask) = batch_ids(&rows, self.tokenizer.rules().pad, self.device.burn());
        Ok((Caption { features: self.text.forward(ids), mask }, warnings))
    }

    /// The noise of this seed, `[1, C, h, w]`.
    fn noise(&self, settings: &Settings) -> Tensor<4> {
        let factor = self.vae.factor();
        let shape = [1, self.denoiser.config().in_channels, settings.height / factor, settings.width / factor];
        let values = noise::normal(settings.seed, 0, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), self.device.burn())
    }

    fn run(&self, settings: &Settings, caption: Caption) -> Result<Run> {
        let factor = self.vae.factor();
        let (height, width) = (settings.height / factor, settings.width / factor);
        let sequence = self.denoiser.sequence(height, width, SequenceOptions::default(), self.device.burn());
        let channels = self.manifest().sampling.get(settings.kind.name()).and_then(guided_channels);
        let channels = channels.map_or(GuidedChannels::All, GuidedChannels::First);
        let guidance = Guidance { scale: settings.guidance, channels };
        let caption = if guidance.needs_unconditional() {
            caption
        } else {
            Caption { features: caption.features.narrow(0, 0, 1), mask: caption.mask.narrow(0, 0, 1) }
        };
        Ok(Run { sequence, caption, guidance })
    }

    /// The guided velocity at x `[1, C, h, w]`: one evaluation of a batch of two.
    fn velocity(&self, x: Tensor<4>, t: f64, run: &Run) -> Tensor<4> {
        let rows = run.caption.mask.dims()[0];
        let time = Tensor::full([rows], t as f32, self.device.burn());
        let v = self.denoiser.forward(x.repeat_dim(0, rows), time, &run.caption, &run.sequence); // [rows, C, h, w]
        if rows == 1 {
            return v;
        }
        run.guidance.combine(v.clone().narrow(0, 0, 1), v.narrow(0, 1, 1))
    }

    async fn decode(&self, latent: Tensor<4>) -> Result<Image> {
        modality::image::to_image(self.vae.decode(latent)).await
    }
}

fn guided_channels(sampling: &Sampling) -> Option<usize> {
    sampling.guided_channels.map(|channels| channels as usize)
}

/// The beginning of a text, and how long it is where that is not all.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}…\" ({} characters)", &text[..end], text.chars().count()),
        None => format!("\"{text}\""),
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// A component's configuration, if its architecture is the one that is built here.
fn config<T: DeserializeOwned>(name: &str, architecture: &str, component: &Component) -> Result<T> {
    if component.architecture != architecture {
        return Err(Error::bad_model(format!("components.{name}.architecture"))
            .expected(architecture)
            .found(component.architecture.clone()));
    }
    serde_json::from_value(component.config.clone()).map_err(|error| {
        Error::bad_model(format!("components.{name}.config"))
            .expected(format!("the configuration of a {architecture}"))
            .found(error.to_string())
    })
}

/// The tokenizer of the text encoder; its rules stand beside the encoder's configuration, under `prompt`.
async fn tokenizer(
    reader: &Reader,
    component: &Component,
    config: &crate::text::language_model::LanguageModelConfig,
) -> Result<Tokenizer> {
    let subject = "components.text";
    let path = component
        .tokenizer
        .as_deref()
        .ok_or_else(|| Error::bad_model(subject).expected("the path of a tokenizer").found("none"))?;
    let rules = component.config.get("prompt").cloned().unwrap_or_default();
    let rules: TokenizerRules = serde_json::from_value(rules).map_err(|error| {
        Error::bad_model(format!("{subject}.config.prompt"))
            .expected("the rules of a tokenizer")
            .found(error.to_string())
    })?;
    Tokenizer::new(&reader.file(path).await?, rules, config.vocab_size)
}
