//! A prompt's way to a picture. The verbs of [`Pipeline::generate`] stand in the order in which they run.

use std::{cell::RefCell, future::poll_fn, rc::Rc, task::Poll};

use async_stream::try_stream;
use burn::tensor::{Tensor, TensorData};
use futures_core::Stream;
use web_time::Instant;

use crate::{
    device::Device,
    error::{Error, Result},
    kernels, modality,
    model::{Caption, PreparedCaption, Sequence, SequenceOptions},
    progress::{Event, Image, LoadProgress, Output, Settings, Stage, Timings},
    request::{Kind, Request},
    sampler::{
        Tolerance, ensure_finite,
        guidance::{Guidance, GuidedChannels},
        noise,
        schedule::time_grid,
        solver::{Solver, SolverKind},
    },
    text::language_model::batch_ids,
    weights::{
        ByteSource, Reader,
        manifest::{Manifest, Sampling},
    },
};

mod parts;
mod warm_up;

use parts::Parts;

/// A model on a device, ready to generate.
pub struct Pipeline {
    reader: Reader,
    device: Device,
    parts: Parts,
}

/// What one run of the sampler needs.
struct Run {
    sequence: Sequence,
    /// Of the prompt, and of the negative prompt where guidance needs it.
    caption: PreparedCaption,
    /// Rows of the batch: one, or two.
    rows: usize,
    guidance: Guidance,
}

impl Pipeline {
    /// Reads the model from `source`, checks it and moves it to `device`.
    ///
    /// # Errors
    ///
    /// `bad-model`, `integrity` or `file` that name what was expected and what was found.
    ///
    /// On a GPU also `unsupported`, if its driver computes something else than the CPU ([`kernels::check`]).
    pub async fn open(source: impl ByteSource + 'static, device: Device) -> Result<Self> {
        Self::open_with(source, device, &mut |_| {}).await
    }

    /// [`Self::open`], and tells `progress` how far it is.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`].
    pub async fn open_with(
        source: impl ByteSource + 'static,
        device: Device,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self> {
        let reader = Reader::open(Rc::new(source)).await?;
        kernels::check(device.burn()).await?;
        let parts = Parts::load(&reader, device.burn(), progress).await?;
        Ok(Self { reader, device, parts })
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
        let pixels = self.parts.vae.factor();
        let options = SequenceOptions::default();
        self.parts.denoiser.sequence(height / pixels, width / pixels, options, self.device.burn()).layout.tokens()
    }

    /// Floating point operations of one solver step of the denoiser ([`crate::model::FlagDitConfig::flops`]); dopri5 is
    /// counted as if no step were tried twice.
    ///
    /// # Errors
    ///
    /// `bad-request` if the prompt cannot be encoded.
    pub fn step_flops(&self, settings: &Settings) -> Result<f64> {
        let (caption, _) = self.encode(settings)?;
        let caption_tokens = caption.mask.dims()[1];
        let rows = if self.guidance(settings).needs_unconditional() { caption.mask.dims()[0] } else { 1 };
        let tokens = self.tokens(settings.width, settings.height);
        let evaluations = settings.solver.parse::<SolverKind>()?.stages();
        Ok(evaluations as f64 * self.parts.denoiser.config().flops(rows, tokens, caption_tokens))
    }

    /// Generates, event after event; the last one is [`Event::Done`]. Dropping the stream stops the work within one
    /// solver step.
    pub fn generate(&self, request: Request) -> impl Stream<Item = Result<Event>> + '_ {
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
                    pause().await;
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
        if request.kind != Kind::Image {
            return Err(Error::bad_request(format!("kind {kind}"))
                .expected("image, the only kind this version makes")
                .remedy("ask for an image"));
        }
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
            let encoded = self.parts.tokenizer.encode(text)?;
            if let Some(cut) = encoded.cut {
                let most = self.parts.tokenizer.rules().max_tokens;
                warnings.push(format!("the {name} is longer than {most} tokens; not used: {}", excerpt(&cut)));
            }
            rows.push(encoded.ids);
        }
        let (ids, mask) = batch_ids(&rows, self.parts.tokenizer.rules().pad, self.device.burn());
        Ok((Caption { features: self.parts.text.forward(ids), mask }, warnings))
    }

    /// The noise of this seed, `[1, C, h, w]`.
    fn noise(&self, settings: &Settings) -> Tensor<4> {
        let factor = self.parts.vae.factor();
        let shape = [1, self.parts.denoiser.config().in_channels, settings.height / factor, settings.width / factor];
        let values = noise::normal(settings.seed, 0, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), self.device.burn())
    }

    fn run(&self, settings: &Settings, caption: Caption) -> Result<Run> {
        let factor = self.parts.vae.factor();
        let (height, width) = (settings.height / factor, settings.width / factor);
        let sequence = self.parts.denoiser.sequence(height, width, SequenceOptions::default(), self.device.burn());
        let guidance = self.guidance(settings);
        let caption = if guidance.needs_unconditional() {
            caption
        } else {
            Caption { features: caption.features.narrow(0, 0, 1), mask: caption.mask.narrow(0, 0, 1) }
        };
        let rows = caption.mask.dims()[0];
        Ok(Run { sequence, caption: self.parts.denoiser.prepare(&caption), rows, guidance })
    }

    fn guidance(&self, settings: &Settings) -> Guidance {
        let channels = self.manifest().sampling.get(settings.kind.name()).and_then(guided_channels);
        let channels = channels.map_or(GuidedChannels::All, GuidedChannels::First);
        Guidance { scale: settings.guidance, channels }
    }

    /// The guided velocity at x `[1, C, h, w]`: one evaluation of a batch of two.
    fn velocity(&self, x: Tensor<4>, t: f64, run: &Run) -> Tensor<4> {
        let rows = run.rows;
        let time = Tensor::full([rows], t as f32, self.device.burn());
        let x = x.repeat_dim(0, rows);
        let v = self.parts.denoiser.forward_prepared(x, time, &run.caption, &run.sequence); // [rows, C, h, w]
        if rows == 1 {
            return v;
        }
        run.guidance.combine(v.clone().narrow(0, 0, 1), v.narrow(0, 1, 1))
    }

    async fn decode(&self, latent: Tensor<4>) -> Result<Image> {
        modality::image::to_image(self.parts.vae.decode(latent)).await
    }
}

fn guided_channels(sampling: &Sampling) -> Option<usize> {
    sampling.guided_channels.map(|channels| channels as usize)
}

/// Lets the caller look up once before every evaluation: dopri5 may need thousands for one step.
async fn pause() {
    let mut is_over = false;
    poll_fn(|context| {
        if is_over {
            return Poll::Ready(());
        }
        is_over = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
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
