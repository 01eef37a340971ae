//! A prompt's way to pictures and sound. The verbs of [`Pipeline::generate`] stand in the order in which they run.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
};

use async_stream::try_stream;
use burn::tensor::Tensor;
use futures_core::Stream;
use web_time::Instant;

use crate::{
    decode::griffin_lim::GriffinLim,
    device::Device,
    error::Result,
    kernels,
    model::Caption,
    parts,
    plan::{Blueprint, Plan},
    progress::{Event, LoadProgress, Output, Settings, Stage, Timings, pause},
    request::{Kind, Request},
    sampler::{
        Tolerance, ensure_finite,
        solver::{Solver, SolverKind},
    },
    text::tokenizer::Tokenizer,
    weights::{ByteSource, Reader, manifest::Manifest},
};

mod encode;
mod follow;
mod networks;
mod output;
mod run;
mod warm_up;

use follow::follow;
use networks::Networks;

/// A model on a device, ready to generate.
pub struct Pipeline {
    reader: Reader,
    blueprint: Blueprint,
    device: Device,
    /// None where the model knows labels.
    tokenizer: Option<Tokenizer>,
    griffin_lim: Option<GriffinLim>,
    networks: Networks,
    /// The last prompts with their features: the next picture often has the same.
    encoded: RefCell<Option<(Vec<Vec<u32>>, Caption)>>,
}

impl Pipeline {
    /// Reads the model from `source`, checks it and moves it to `device`. Networks that do not fit there together
    /// ([`Plan`]) are moved when they are needed, each in the place of the last.
    ///
    /// # Errors
    ///
    /// `bad-model`, `integrity` or `file` that name what was expected and what was found.
    ///
    /// `out-of-memory` where a network alone is known not to fit; on a GPU also `unsupported`, if its driver computes
    /// something else than the CPU ([`kernels::check`]).
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
        let blueprint = Blueprint::new(reader.manifest(), reader.identity())?;
        let tokenizer = match &blueprint.text {
            Some(_) => Some(parts::tokenizer(&reader).await?),
            None => None,
        };
        let griffin_lim = blueprint.mel.as_ref().map(GriffinLim::new).transpose()?;
        let plan = Plan::new(&blueprint, &blueprint.typical()?, device.capacity())?;
        // Less may be asked for than what is typical.
        plan.refuse_networks()?;
        let networks = match plan.stays_loaded {
            true => Networks::all(&reader, &device, &plan, progress).await?,
            false => Networks::none(),
        };
        Ok(Self { reader, blueprint, device, tokenizer, griffin_lim, networks, encoded: RefCell::new(None) })
    }

    /// What the manifest says, understood.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
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

    /// The request with the manifest's defaults filled in.
    ///
    /// # Errors
    ///
    /// Those of [`Blueprint::settings`].
    pub fn settings(&self, request: &Request) -> Result<Settings> {
        self.blueprint.settings(request)
    }

    /// Tokens of the denoiser's sequence for these settings.
    ///
    /// # Errors
    ///
    /// Those of [`Blueprint::tokens`].
    pub fn tokens(&self, settings: &Settings) -> Result<usize> {
        self.blueprint.tokens(settings)
    }

    /// The files that the model was read from.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Rows of the denoiser's batch for these settings, one a prompt or class, and one more where guidance needs it; and the
    /// tokens of the longest prompt, as the denoiser sees them.
    ///
    /// # Errors
    ///
    /// `bad-request` if a prompt cannot be encoded.
    pub(crate) fn batch_extent(&self, settings: &Settings) -> Result<(usize, usize)> {
        let (rows, caption_tokens) = self.condition_extent(settings)?;
        Ok((rows - usize::from(!self.guidance(settings).needs_unconditional()), caption_tokens))
    }

    /// Floating point operations of one solver step of the denoiser ([`crate::model::FlagDitConfig::flops`]); dopri5 is
    /// counted as if no step were tried twice.
    ///
    /// # Errors
    ///
    /// `bad-request` if the prompt cannot be encoded.
    pub fn step_flops(&self, settings: &Settings) -> Result<f64> {
        let (rows, caption_tokens) = self.batch_extent(settings)?;
        let evaluations = settings.solver.parse::<SolverKind>()?.stages();
        Ok(evaluations as f64 * self.blueprint.denoiser.flops(rows, self.tokens(settings)?, caption_tokens))
    }

    /// Generates, event after event; the last one is [`Event::Done`]. Dropping the stream stops the work within one
    /// solver step, or one tile of a picture that is decoded by tiles.
    pub fn generate(&self, request: Request) -> impl Stream<Item = Result<Event>> + '_ {
        self.generate_from(request, None)
    }

    /// [`Self::generate`], from this noise instead of the seed's, where there is one: the latent of another program, say.
    /// Values are in the order of a latent of one sample, `[C, F·h, w]`.
    pub fn generate_from(&self, request: Request, noise: Option<Vec<f32>>) -> impl Stream<Item = Result<Event>> + '_ {
        try_stream! {
            let settings = self.settings(&request)?;
            let plan = Plan::new(&self.blueprint, &settings, self.device.capacity())?;
            plan.refuse()?;
            let mut timings = Timings::default();

            yield Event::Stage(Stage::Encode);
            let start = Instant::now();
            if self.needs_encoder(&settings)? {
                for await event in self.loading(Stage::Encode, &plan) {
                    yield event?;
                }
            }
            let (condition, cut) = self.encode(&settings, &plan).await?;
            for warning in cut {
                yield Event::Warning(warning);
            }
            timings.encode_ms = milliseconds(start);

            yield Event::Stage(Stage::Sample);
            let start = Instant::now();
            for await event in self.loading(Stage::Sample, &plan) {
                yield event?;
            }
            let can_preview = plan.can_preview() || settings.kind == Kind::Audio;
            if request.preview_every > 0 && !can_preview {
                yield Event::Warning("no previews: the decoder does not fit beside the denoiser".to_owned());
            }
            let shape = self.blueprint.shape(&settings)?;
            let noise = match noise {
                Some(values) => self.given_noise(shape, values)?,
                None => self.noise(shape, settings.seed),
            };
            let run = self.run(&settings, shape, condition, &plan).await?;
            let grid = self.grid(&settings);
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
                let is_due = request.preview_every > 0 && (step + 1) % request.preview_every == 0;
                if is_due && can_preview && step + 1 < settings.steps {
                    let last = seen.take();
                    if let Some((x, v, t)) = last {
                        yield Event::Preview(self.pictures(x + v * (1.0 - t), &settings, &plan, &|_, _| ()).await?);
                    }
                }
            }
            timings.sample_ms = milliseconds(start);
            drop(run);

            yield Event::Stage(Stage::Decode);
            let start = Instant::now();
            if settings.kind != Kind::Audio {
                for await event in self.loading(Stage::Decode, &plan) {
                    yield event?;
                }
            }
            let told = Cell::new(None);
            let tell = |done, total| told.set(Some((done, total)));
            let (frames, waveform) = {
                let mut work = pin!(self.decode(solver.x().clone(), &settings, &plan, &tell));
                loop {
                    let (news, decoded) = follow(work.as_mut(), &told).await;
                    // What comes in one part needs no telling.
                    if let Some((done, total)) = news.filter(|(_, total)| *total > 1) {
                        yield Event::Decode { done, total };
                    }
                    if let Some(decoded) = decoded {
                        break decoded?;
                    }
                }
            };
            timings.decode_ms = milliseconds(start);
            yield Event::Done(Box::new(Output { kind: settings.kind, frames, waveform, settings, timings }));
        }
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
