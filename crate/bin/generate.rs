//! `flagdit generate`: every job through the pipeline, its events to the terminal, its picture to a file.

use std::cell::Cell;
use std::fs;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use flagdit::device::{Device, Kind};
use flagdit::error::{Error, ErrorKind, Result};
use flagdit::output::{self, Recorded, files};
use flagdit::pipeline::Pipeline;
use flagdit::progress::{Event, Image, LoadProgress, Output, Settings, Stage};
use futures_util::Stream as _;
use serde_json::json;

use crate::args::GenerateArgs;
use crate::jobs::{self, Job, Plan};
use crate::progress_bar::{Progress, Unit};
use crate::terminal::Terminal;
use crate::{interrupt, model};

pub fn run(args: &GenerateArgs, terminal: &Terminal) -> Result<()> {
    let Plan { jobs, from } = jobs::plan(args)?;
    let folder = model::find(args.model.as_deref())?;
    pollster::block_on(async {
        let (pipeline, _) = open(&folder, &args.device, args.memory, terminal).await?;
        if let Some((picture, recorded)) = from {
            compare(&picture, &recorded, &pipeline, terminal)?;
        }
        if let Some(folder) = &args.out_dir {
            fs::create_dir_all(folder).map_err(|error| Error::file(folder.display(), &error))?;
        }
        for (index, job) in jobs.iter().enumerate() {
            let [is_loading, is_decoding] = [(); 2].map(|()| Cell::new(false));
            let run = Run { index, job, has_metadata: !args.no_metadata, terminal, is_loading, is_decoding };
            run.make(&pipeline).await?;
        }
        Ok(())
    })
}

/// Opens the model in `folder` on the device of that name, which may take so many bytes; also how many milliseconds the
/// model took. A GPU that `auto` chose and that fails is passed over for the CPU, with a warning.
pub async fn open(folder: &Path, name: &str, memory: Option<u64>, terminal: &Terminal) -> Result<(Pipeline, f64)> {
    let mut progress = Progress::new(terminal);
    let device = Device::parse(name).await?.within(memory);
    if let Some(warning) = device.warning() {
        progress.aside(|| terminal.warning(warning))?;
    }
    progress.begin(format!("loading {}", folder.display()));
    let start = Instant::now();
    let is_choice = name == "auto" && device.kind() != Kind::Cpu;
    let pipeline = match Pipeline::open(model::source(folder), device).await {
        Err(error) if is_choice && error.kind().exit_code() == ErrorKind::DeviceLost.exit_code() => {
            progress.aside(|| terminal.warning(&format!("{error}; using the CPU instead")))?;
            Pipeline::open(model::source(folder), Device::cpu().within(memory)).await?
        }
        opened => opened?,
    };
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    terminal.event(&json!({
        "type": "ready",
        "model": pipeline.manifest().name,
        "modelHash": pipeline.identity(),
        "device": pipeline.device().name(),
        "loadMs": load_ms,
    }))?;
    Ok((pipeline, load_ms))
}

/// Says so if the picture whose request is repeated was made by another model.
fn compare(picture: &Path, recorded: &Recorded, pipeline: &Pipeline, terminal: &Terminal) -> Result<()> {
    let identity = pipeline.identity();
    if recorded.model_hash.as_deref().is_some_and(|hash| !hash.is_empty() && identity.starts_with(hash)) {
        return Ok(());
    }
    let short = |hash: &str| hash.chars().take(10).collect::<String>();
    let theirs = recorded.model.as_deref().unwrap_or("a model that it does not name");
    let hash = recorded.model_hash.as_deref().map_or("unknown".into(), short);
    terminal.warning(&format!(
        "{} was made by {theirs} ({hash}), not by {} ({}): the picture will be another",
        picture.display(),
        pipeline.manifest().name,
        short(identity)
    ))
}

/// One job under way.
struct Run<'a> {
    index: usize,
    job: &'a Job,
    has_metadata: bool,
    terminal: &'a Terminal,
    /// Whether a network is on its way to the device.
    is_loading: Cell<bool>,
    /// Whether parts of the output are decoded.
    is_decoding: Cell<bool>,
}

impl Run<'_> {
    async fn make(&self, pipeline: &Pipeline) -> Result<()> {
        let start = Instant::now();
        let mut progress = Progress::new(self.terminal);
        let preview = Preview { path: self.job.path.with_extension("preview.png"), is_shown: Cell::new(false) };
        let mut events = pin!(pipeline.generate(self.job.request.clone()));
        // Looking at each poll, not only at each event: one step may take thousands of evaluations. Returning drops the
        // stream, which stops the work.
        let mut next = async || {
            poll_fn(|context| match interrupt::check() {
                Ok(()) => events.as_mut().poll_next(context).map(Option::transpose),
                Err(error) => Poll::Ready(Err(error)),
            })
            .await
        };
        while let Some(event) = next().await? {
            self.tell(&event, &mut progress, &preview)?;
            if let Event::Done(output) = event {
                drop(progress);
                return self.keep(&output, start.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }

    fn tell(&self, event: &Event, progress: &mut Progress, preview: &Preview) -> Result<()> {
        let Self { index, terminal, .. } = self;
        let file = self.job.path.display();
        match event {
            Event::Stage(stage) => {
                match stage {
                    Stage::Encode => progress.begin(format!("{file}: reading the prompt")),
                    Stage::Sample => progress.begin(format!("{file}: sampling")),
                    Stage::Decode => progress.begin(format!("{file}: decoding")),
                }
                terminal.event(&json!({ "type": "stage", "index": index, "stage": stage }))
            }
            Event::Load(LoadProgress { loaded, total, .. }) => {
                if !self.is_loading.replace(loaded < total) {
                    progress.begin_of(format!("{file}: loading"), *total, Unit::Bytes);
                }
                progress.update(*loaded, *total);
                terminal.event(&json!({ "type": "load", "index": index, "loaded": loaded, "total": total }))
            }
            Event::Step { step, steps } => {
                if *step == 1 {
                    progress.begin_of(format!("{file}: sampling"), *steps as u64, Unit::Steps);
                }
                progress.update(*step as u64, *steps as u64);
                terminal.event(&json!({ "type": "step", "index": index, "step": step, "steps": steps }))
            }
            Event::Decode { done, total } => {
                if !self.is_decoding.replace(true) {
                    progress.begin_of(format!("{file}: decoding"), *total as u64, Unit::Parts);
                }
                progress.update(*done as u64, *total as u64);
                terminal.event(&json!({ "type": "decode", "index": index, "done": done, "total": total }))
            }
            Event::Warning(message) => progress.aside(|| terminal.warning(message)),
            Event::Preview(frames) => {
                preview.show(&files::picture(frames))?;
                terminal
                    .event(&json!({ "type": "preview", "index": index, "file": preview.path.display().to_string() }))
            }
            Event::Done(_) => Ok(()),
        }
    }

    fn keep(&self, output: &Output, seconds: f64) -> Result<()> {
        let Self { index, job, has_metadata, terminal, .. } = self;
        let Output { settings, timings, .. } = output;
        files::save(output, &job.path, job.format, *has_metadata)?;
        let file = job.path.display();
        terminal.event(&json!({
            "type": "done",
            "index": index,
            "file": file.to_string(),
            "seed": settings.seed,
            "settings": settings,
            "timings": timings,
        }))?;
        let Settings { seed, steps, solver, guidance, .. } = settings;
        let extent = extent(settings);
        terminal.note(&format!(
            "{file}: {extent}, seed {seed}, {steps} steps of {solver}, guidance {guidance}, {seconds:.1} s"
        ))
    }
}

/// How large an output is.
pub fn extent(settings: &Settings) -> String {
    let Settings { width, height, .. } = settings;
    match (settings.frames, settings.views, settings.seconds) {
        (Some(frames), ..) => format!("{frames} frames of {width}x{height}"),
        (_, Some(views), _) => format!("{views} views of {width}x{height}"),
        (.., Some(seconds)) => format!("{seconds} s of sound"),
        _ => format!("{width}x{height}"),
    }
}

/// The file that shows what is being made; gone when that is done, or given up.
struct Preview {
    path: PathBuf,
    is_shown: Cell<bool>,
}

impl Preview {
    fn show(&self, image: &Image) -> Result<()> {
        output::save(image, &self.path, None)?;
        self.is_shown.set(true);
        Ok(())
    }
}

impl Drop for Preview {
    fn drop(&mut self) {
        if self.is_shown.get() {
            let _ = fs::remove_file(&self.path); // A preview that stays does no harm.
        }
    }
}
