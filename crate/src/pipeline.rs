//! A prompt's way to pictures and sound. The verbs of [`Pipeline::generate`] stand in the order in which they run.

use std::{cell::RefCell, future::poll_fn, rc::Rc, task::Poll};

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
    progress::{Event, LoadProgress, Output, Settings, Stage, Timings},
    request::Request,
    sampler::{
        Tolerance, ensure_finite,
        solver::{Solver, SolverKind},
    },
    text::{
        embeddings::{Gathered, gather},
        language_model::batch_ids,
        tokenizer::{Encoded, Tokenizer},
    },
    weights::{ByteSource, Reader, manifest::Manifest},
};

mod networks;
mod output;
mod run;
mod warm_up;

use networks::Networks;

/// A model on a device, ready to generate.
pub struct Pipeline {
    reader: Reader,
    blueprint: Blueprint,
    device: Device,
    tokenizer: Tokenizer,
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
        let tokenizer = parts::tokenizer(&reader).await?;
        let griffin_lim = blueprint.mel.as_ref().map(GriffinLim::new).transpose()?;
        let plan = Plan::new(&blueprint, &blueprint.typical()?, device.capacity())?;
        plan.refuse()?;
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

    /// Rows of the denoiser's batch for these settings: one a prompt, and one for the negative prompt where guidance needs it.
    pub(crate) fn rows(&self, settings: &Settings) -> usize {
        1 + settings.transitions.len() + usize::from(self.guidance(settings).needs_unconditional())
    }

    /// Tokens of the longest of the prompts, as the denoiser sees them.
    ///
    /// # Errors
    ///
    /// `bad-request` if one cannot be encoded.
    pub(crate) fn caption_tokens(&self, settings: &Settings) -> Result<usize> {
        let (prompts, _) = self.prompts(settings)?;
        Ok(prompts.iter().map(Vec::len).max().unwrap_or(0))
    }

    /// Floating point operations of one solver step of the denoiser ([`crate::model::FlagDitConfig::flops`]); dopri5 is
    /// counted as if no step were tried twice.
    ///
    /// # Errors
    ///
    /// `bad-request` if the prompt cannot be encoded.
    pub fn step_flops(&self, settings: &Settings) -> Result<f64> {
        let (rows, caption_tokens) = (self.rows(settings), self.caption_tokens(settings)?);
        let evaluations = settings.solver.parse::<SolverKind>()?.stages();
        Ok(evaluations as f64 * self.blueprint.denoiser.flops(rows, self.tokens(settings)?, caption_tokens))
    }

    /// Generates, event after event; the last one is [`Event::Done`]. Dropping the stream stops the work within one
    /// solver step.
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
            let (caption, cut) = self.encode(&settings, &plan).await?;
            for warning in cut {
                yield Event::Warning(warning);
            }
            timings.encode_ms = milliseconds(start);

            yield Event::Stage(Stage::Sample);
            let start = Instant::now();
            let shape = self.blueprint.shape(&settings)?;
            let noise = match noise {
                Some(values) => self.given_noise(shape, values)?,
                None => self.noise(shape, settings.seed),
            };
            let run = self.run(&settings, shape, caption, &plan).await?;
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
                if request.preview_every > 0 && (step + 1) % request.preview_every == 0 && step + 1 < settings.steps {
                    let last = seen.take();
                    if let Some((x, v, t)) = last {
                        yield Event::Preview(self.pictures(x + v * (1.0 - t), &settings, &plan).await?);
                    }
                }
            }
            timings.sample_ms = milliseconds(start);
            drop(run);

            yield Event::Stage(Stage::Decode);
            let start = Instant::now();
            let frames = self.pictures(solver.x().clone(), &settings, &plan).await?;
            let waveform = self.waveform(solver.x().clone(), &settings).await?;
            timings.decode_ms = milliseconds(start);
            yield Event::Done(Box::new(Output { kind: settings.kind, frames, waveform, settings, timings }));
        }
    }

    /// The features of [`Self::prompts`], and what was cut.
    async fn encode(&self, settings: &Settings, plan: &Plan) -> Result<(Caption, Vec<String>)> {
        let (prompts, warnings) = self.prompts(settings)?;
        if let Some((_, caption)) = self.encoded.borrow().as_ref().filter(|(of, _)| *of == prompts) {
            return Ok((caption.clone(), warnings));
        }
        let text = self.text(plan).await?;
        let device = self.device.burn();
        let Gathered { table, ids } = gather(&self.reader, &prompts, device).await?;
        // Padding may be any row: nothing that is made of it is looked at.
        let (ids, mask) = batch_ids(&ids, 0, device);
        let caption = Caption { features: text.forward_from(table, ids), mask };
        self.encoded.replace(Some((prompts, caption.clone())));
        Ok((caption, warnings))
    }

    /// The ids of the prompts (the transitions' behind the first) and of the negative prompt, and what was cut. Before
    /// each stands what tells the text encoder the kind of output.
    fn prompts(&self, settings: &Settings) -> Result<(Vec<Vec<u32>>, Vec<String>)> {
        let mut warnings = Vec::new();
        let mut rows = Vec::new();
        let sampling = self.manifest().sampling.get(settings.kind.name());
        let prefix = sampling.and_then(|sampling| sampling.prompt_prefix.as_deref()).unwrap_or_default();
        let later = settings.transitions.iter().map(|transition| ("prompt of a transition", &transition.prompt));
        let prompts = std::iter::once(("prompt", &settings.prompt)).chain(later);
        let tokenizer = &self.tokenizer;
        let mut add = |name: &str, encoded: Encoded| {
            if let Some(cut) = encoded.cut {
                let most = encoded.ids.len();
                warnings.push(format!("the {name} is longer than {most} tokens; not used: {}", excerpt(&cut)));
            }
            rows.push(encoded.ids);
            rows.iter().map(Vec::len).max().unwrap_or(0)
        };
        let mut longest = 0;
        for (name, text) in prompts {
            longest = add(name, tokenizer.encode(&format!("{prefix}{text}"))?);
        }
        let negative = format!("{prefix}{}", settings.negative_prompt);
        add("negative prompt", tokenizer.encode_negative(&negative, longest)?);
        Ok((rows, warnings))
    }
}

/// Lets the caller look up once before every evaluation: dopri5 may need thousands for one step.
pub(crate) async fn pause() {
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
