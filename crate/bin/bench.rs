//! `flagdit bench`: how long loading and a picture take, after one picture that is not counted.

use std::pin::pin;
use std::time::Instant;

use flagdit::error::{Error, Result};
use flagdit::pipeline::Pipeline;
use flagdit::progress::{Event, Settings, Stage};
use flagdit::request::{Kind, Request};
use futures_util::StreamExt as _;
use serde_json::json;

use crate::args::BenchArgs;
use crate::progress_bar::Progress;
use crate::terminal::Terminal;
use crate::{generate, interrupt, model};

const PROMPT: &str = "a large red star above a blue square";
/// Pictures that are counted.
const RUNS: usize = 3;

pub fn run(args: &BenchArgs, terminal: &Terminal) -> Result<()> {
    let kind = args.kind.as_deref().and_then(Kind::parse).unwrap_or_default();
    let request = Request {
        width: args.size.map(|size| size.width),
        height: args.size.map(|size| size.height),
        frames: args.frames,
        views: args.views,
        seconds: args.seconds,
        steps: args.steps,
        ..Request::new(kind, PROMPT)
    };
    request.check()?;
    let folder = model::find(args.model.as_deref())?;
    pollster::block_on(async {
        let (pipeline, load_ms) = generate::open(&folder, &args.device, None, terminal).await?;
        let mut progress = Progress::new(terminal);
        progress.begin("once to warm up".into());
        let first = measure(&pipeline, &request).await?;
        let mut runs = Vec::with_capacity(RUNS);
        for number in 1..=RUNS {
            progress.begin(format!("{number} of {RUNS}"));
            runs.push(measure(&pipeline, &request).await?);
        }
        drop(progress);
        report(&pipeline, load_ms, &first, &runs, terminal)
    })
}

/// How long the parts of one picture took.
struct Measured {
    step_ms: Vec<f64>,
    picture_ms: f64,
    settings: Settings,
}

async fn measure(pipeline: &Pipeline, request: &Request) -> Result<Measured> {
    let start = Instant::now();
    let mut last = start;
    let mut step_ms = Vec::new();
    let mut events = pin!(pipeline.generate(request.clone()));
    while let Some(event) = events.next().await {
        interrupt::check()?;
        match event? {
            Event::Stage(Stage::Sample) => last = Instant::now(),
            Event::Step { .. } => {
                step_ms.push(milliseconds(last));
                last = Instant::now();
            }
            Event::Done(output) => {
                return Ok(Measured { step_ms, picture_ms: milliseconds(start), settings: output.settings });
            }
            _ => {}
        }
    }
    Err(Error::bad_model("the pipeline").expected("a picture").found("none"))
}

fn report(pipeline: &Pipeline, load_ms: f64, first: &Measured, runs: &[Measured], terminal: &Terminal) -> Result<()> {
    let Settings { kind, width, height, frames, views, seconds, steps, solver, guidance, .. } = &first.settings;
    let device = pipeline.device();
    let tokens = pipeline.tokens(&first.settings)?;
    let first_step = first.step_ms.first().copied().unwrap_or(0.0);
    let step = median(runs.iter().flat_map(|run| run.step_ms.iter().copied()).collect());
    let picture = median(runs.iter().map(|run| run.picture_ms).collect());
    let gflops = pipeline.step_flops(&first.settings)? / step / 1e6;
    let peak = peak_memory();
    if terminal.is_json() {
        let bench = json!({
            "type": "bench", "model": pipeline.manifest().name, "modelHash": pipeline.identity(),
            "device": device.name(), "deviceKind": device.kind(),
            "kind": kind, "width": width, "height": height, "frames": frames, "views": views, "seconds": seconds, "steps": steps,
            "solver": solver, "guidance": guidance, "tokens": tokens, "runs": runs.len(), "loadMs": load_ms, "firstStepMs": first_step,
            "stepMs": step, "gflops": gflops, "pictureMs": picture, "peakMemoryBytes": peak,
        });
        return terminal.print(&bench.to_string());
    }
    let peak = peak.map_or("unknown".into(), |bytes| format!("{} MiB", bytes >> 20));
    for (name, value) in [
        ("device", format!("{} ({})", device.name(), device.kind())),
        (
            "request",
            format!(
                "{}, {steps} steps of {solver}, guidance {guidance}, {tokens} tokens",
                generate::extent(&first.settings)
            ),
        ),
        ("load", format!("{load_ms:.0} ms")),
        ("first step", format!("{first_step:.1} ms")),
        ("step", format!("{step:.1} ms (median of {} runs)", runs.len())),
        ("denoiser", format!("{gflops:.1} GFLOP/s")),
        ("all", format!("{picture:.0} ms (median, from the prompt on)")),
        ("peak memory", peak),
    ] {
        terminal.print(&format!("{name:<14} {value}"))?;
    }
    Ok(())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The most memory that this process held at once, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
