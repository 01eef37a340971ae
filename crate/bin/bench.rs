//! `flagdit bench`: what `flagdit::bench` measures, on the terminal.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use flagdit::Device;
use flagdit::bench::{self, Call, Options, Report, Work};
use flagdit::device::Kind as DeviceKind;
use flagdit::error::{ErrorKind, Result};
use flagdit::kernels::KernelTime;
use flagdit::request::{Kind, Request};
use serde_json::json;

use crate::args::BenchArgs;
use crate::progress_bar::{Progress, Unit};
use crate::terminal::Terminal;
use crate::{interrupt, model};

const PROMPT: &str = "a large red star above a blue square";
/// Kernels that are shown to people, those that take the most time.
const SHOWN: usize = 12;

pub fn run(args: &BenchArgs, terminal: &Terminal) -> Result<()> {
    let options = options(args)?;
    let folder = model::find(args.model.as_deref())?;
    let report = pollster::block_on(measure(&folder, &args.device, &options, terminal))?;
    if terminal.is_json() { terminal.event(&json!(report)) } else { print(&report, terminal) }
}

fn options(args: &BenchArgs) -> Result<Options> {
    let (width, height) = args.size.map(|size| (size.width, size.height)).unzip();
    let work = if args.denoiser {
        Work::Denoiser(Call { width, height, batch: args.batch, caption_tokens: args.caption_tokens })
    } else {
        let kind = args.kind.as_deref().and_then(Kind::parse).unwrap_or_default();
        let &BenchArgs { frames, views, seconds, steps, .. } = args;
        let request = Request { width, height, frames, views, seconds, steps, ..Request::new(kind, PROMPT) };
        request.check()?; // Before the model is read.
        Work::Generation(request)
    };
    Ok(Options { work, kernels: args.kernels, stock: args.stock })
}

/// On the device of that name. A GPU that `auto` chose and that fails is passed over for the CPU, with a warning.
async fn measure(folder: &Path, name: &str, options: &Options, terminal: &Terminal) -> Result<Report> {
    let device = Device::parse(name).await?;
    if let Some(warning) = device.warning() {
        terminal.warning(warning)?;
    }
    let is_choice = name == "auto" && device.kind() != DeviceKind::Cpu;
    match measure_on(device, folder, options, terminal).await {
        Err(error) if is_choice && error.kind().exit_code() == ErrorKind::DeviceLost.exit_code() => {
            terminal.warning(&format!("{error}; using the CPU instead"))?;
            measure_on(Device::cpu(), folder, options, terminal).await
        }
        measured => measured,
    }
}

async fn measure_on(device: Device, folder: &Path, options: &Options, terminal: &Terminal) -> Result<Report> {
    let mut bar = Progress::new(terminal);
    bar.begin(format!("loading {}", folder.display()));
    let mut is_counting = false;
    let mut progress = |state| match state {
        bench::Progress::Load(_) => {}
        bench::Progress::WarmUp => bar.begin("once to warm up".into()),
        bench::Progress::Steps { done, least } => {
            if !std::mem::replace(&mut is_counting, true) {
                bar.begin_of("counting".into(), least as u64, Unit::Steps);
            }
            bar.update(done as u64, least.max(done) as u64);
        }
    };
    let mut measuring = pin!(bench::run(model::source(folder), device, options, &mut progress));
    // Returning drops the work, which stops it before its next evaluation.
    poll_fn(|context| match interrupt::check() {
        Ok(()) => measuring.as_mut().poll(context),
        Err(error) => Poll::Ready(Err(error)),
    })
    .await
}

fn print(report: &Report, terminal: &Terminal) -> Result<()> {
    let mebibytes = |bytes: Option<u64>| bytes.map_or("unknown".into(), |bytes| format!("{} MiB", bytes >> 20));
    let adapter = &report.adapter;
    let mut lines = vec![
        ("device", format!("{} ({}, {})", adapter.name, adapter.kind, adapter.backend)),
        ("work", work(report)),
        ("load", format!("{:.0} ms", report.load_ms)),
        ("first step", format!("{:.1} ms", report.first_step_ms)),
        (
            "step",
            format!("{:.1} ms (median of {}, {:.1} at best)", report.step_ms, report.counted, report.least_step_ms),
        ),
        ("denoiser", format!("{:.1} GFLOP/s", report.gflops)),
    ];
    if let Some(whole) = report.generation_ms {
        lines.push(("all", format!("{whole:.0} ms (median, from the prompt on)")));
    }
    lines.push(("peak memory", mebibytes(report.peak_memory_bytes)));
    if report.device_memory_bytes.is_some() {
        lines.push(("of the GPU", mebibytes(report.device_memory_bytes)));
    }
    lines.iter().try_for_each(|(name, value)| terminal.print(&format!("{name:<14} {value}")))?;
    report.kernels.iter().take(SHOWN).try_for_each(|kernel| terminal.print(&line(kernel)))
}

/// What was measured.
fn work(report: &Report) -> String {
    let &Report { width, height, batch, tokens, caption_tokens, .. } = report;
    let extent = match (report.frames, report.views, report.seconds) {
        (Some(frames), ..) => format!("{frames} frames of {width}x{height}"),
        (_, Some(views), _) => format!("{views} views of {width}x{height}"),
        (.., Some(seconds)) => format!("{seconds} s of sound"),
        _ => format!("{width}x{height}"),
    };
    let how = match (report.steps, &report.solver, report.guidance) {
        (Some(steps), Some(solver), Some(guidance)) => format!("{steps} steps of {solver}, guidance {guidance}"),
        _ => "one call of the denoiser a step".into(),
    };
    let whose = if report.stock { "Burn's operations, " } else { "" };
    format!("{whose}{extent}, {how}; a batch of {batch}, {tokens} tokens, {caption_tokens} of the caption")
}

fn line(kernel: &KernelTime) -> String {
    let KernelTime { name, launches, ms, share } = kernel;
    format!("{:>5.1} % {ms:>9.2} ms {launches:>6} times  {name}", share * 100.0)
}
