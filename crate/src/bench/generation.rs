//! Whole generations, step by step.

use std::{future::poll_fn, pin::pin};

use futures_core::Stream as _;
use web_time::Instant;

use super::{Progress, Times, median, milliseconds, report::Batch, report::Report};
use crate::{
    device::Device,
    error::{Error, Result},
    kernels,
    pipeline::Pipeline,
    plan::Blueprint,
    progress::{Event, Settings, Stage},
    request::Request,
    weights::ByteSource,
};

pub(super) async fn measure(
    source: impl ByteSource + 'static,
    device: Device,
    request: &Request,
    has_kernels: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report> {
    request.check()?;
    let start = Instant::now();
    let pipeline = Pipeline::open_with(source, device, &mut |load| progress(Progress::Load(load))).await?;
    let load = milliseconds(start);
    let request = &subject(pipeline.blueprint(), request);

    progress(Progress::WarmUp);
    let Run { settings, step_ms, .. } = run(&pipeline, request, &mut |_| {}).await?;
    let mut times = Times { load, first: step_ms.first().copied().unwrap_or(0.0), counted: Vec::new() };
    let mut whole_ms = Vec::new();
    let start = Instant::now();
    while times.wants_more(start) || whole_ms.len() < LEAST_RUNS {
        let (counted, least) = (times.counted.len(), super::LEAST.max(LEAST_RUNS * settings.steps));
        let mut tell = |steps| progress(Progress::Steps { done: counted + steps, least });
        let run = run(&pipeline, request, &mut tell).await?;
        times.counted.extend(run.step_ms);
        whole_ms.push(run.whole_ms);
    }

    let (rows, caption_tokens) = pipeline.batch_extent(&settings)?;
    let batch =
        Batch { rows, tokens: pipeline.tokens(&settings)?, caption_tokens, flops: pipeline.step_flops(&settings)? };
    let report = Report::new("generation", pipeline.reader(), pipeline.device(), &settings, &batch, &times);
    let kernels = match has_kernels {
        true => kernels::timed(pipeline.device(), run(&pipeline, &request.clone().steps(1), &mut |_| {})).await?,
        false => Vec::new(),
    };
    Ok(Report { kernels, generation_ms: Some(median(whole_ms)), ..report })
}

/// The request with something that the model can draw: one that knows labels cannot follow words.
fn subject(blueprint: &Blueprint, request: &Request) -> Request {
    if blueprint.denoiser.num_classes.is_none() || request.class.is_some() {
        return request.clone();
    }
    let Request { prompt, class, .. } = blueprint.example(request.kind);
    Request { prompt, class, ..request.clone() }
}

/// Generations that are counted at least.
const LEAST_RUNS: usize = 3;

/// One generation.
struct Run {
    settings: Settings,
    step_ms: Vec<f64>,
    whole_ms: f64,
}

/// `progress` hears how many of its steps are done.
async fn run(pipeline: &Pipeline, request: &Request, progress: &mut dyn FnMut(usize)) -> Result<Run> {
    let start = Instant::now();
    let mut last = start;
    let mut step_ms = Vec::new();
    let mut events = pin!(pipeline.generate(request.clone()));
    while let Some(event) = poll_fn(|context| events.as_mut().poll_next(context)).await {
        match event? {
            Event::Stage(Stage::Sample) => last = Instant::now(),
            Event::Step { step, .. } => {
                step_ms.push(milliseconds(last));
                progress(step);
                last = Instant::now();
            }
            Event::Done(output) => {
                return Ok(Run { settings: output.settings, step_ms, whole_ms: milliseconds(start) });
            }
            Event::Load(_) | Event::Stage(_) | Event::Warning(_) | Event::Decode { .. } | Event::Preview(_) => {}
        }
    }
    Err(Error::bad_model("the pipeline").expected("an output").found("none"))
}
