//! `flagdit inspect`: a model folder, every byte of it compared with its hash, or the request of a picture.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use flagdit::error::Result;
use flagdit::output::{self, Recorded};
use flagdit::plan::{Blueprint, Plan, megabytes};
use flagdit::request::Kind;
use flagdit::weights::manifest::{Component, Conditioning, Frames, Manifest};
use flagdit::weights::{MANIFEST, Reader, read_manifest};
use flagdit::{Device, Request};
use serde::Serialize;
use serde_json::json;

use crate::args::{InspectArgs, Size};
use crate::model;
use crate::progress_bar::{Progress, Unit};
use crate::terminal::Terminal;

pub fn run(args: &InspectArgs, terminal: &Terminal) -> Result<()> {
    let path = &args.path;
    let is_manifest = path.file_name().is_some_and(|name| name == MANIFEST);
    let folder = match path.parent().filter(|_| is_manifest) {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    };
    match args.plan {
        Some(size) => plan(folder, size, args, terminal),
        None if path.is_file() && !is_manifest => picture(path, terminal),
        None => self::folder(folder, terminal),
    }
}

/// What a picture of this size would take, told from the manifest alone.
fn plan(folder: &Path, size: Size, args: &InspectArgs, terminal: &Terminal) -> Result<()> {
    let (manifest, identity) = pollster::block_on(read_manifest(&model::source(folder)))?;
    let blueprint = Blueprint::new(&manifest, &identity)?;
    let example = blueprint.example(Kind::Image);
    let settings = blueprint.settings(&Request { width: Some(size.width), height: Some(size.height), ..example })?;
    let device = pollster::block_on(Device::parse(&args.device))?.within(args.memory);
    let plan = Plan::new(&blueprint, &settings, device.capacity())?;
    if terminal.is_json() {
        return terminal.print(&json!({ "type": "plan", "device": device.name(), "plan": plan }).to_string());
    }
    let line =
        |name: &str, bytes: u64, more: &str| terminal.print(&row(name, &format!("{} MB{more}", megabytes(bytes))));
    line("download", plan.download, "")?;
    terminal.print(&row("tokens", &plan.tokens.to_string()))?;
    for stage in &plan.stages {
        let more = format!(": {} of weights, {} to work with", megabytes(stage.weights), megabytes(stage.working));
        line(stage.stage.name(), stage.bytes(), &more)?;
    }
    let order = if plan.stays_loaded { ", all networks together" } else { ", one network after the other" };
    line("peak", plan.peak, order)?;
    line("largest", plan.largest.bytes, &format!(", {}", plan.largest.name))?;
    let how = if plan.capacity.is_known { "" } else { ", assumed: GPUs do not tell" };
    line("device", plan.capacity.memory, &format!(" of {}{how}", device.name()))?;
    match plan.obstacles.as_slice() {
        [] => terminal.print(&row("verdict", "it fits")),
        obstacles => obstacles.iter().try_for_each(|obstacle| terminal.print(&row("obstacle", obstacle))),
    }
}

fn picture(path: &Path, terminal: &Terminal) -> Result<()> {
    let Recorded { request, model, model_hash } = output::read_request(path)?;
    if terminal.is_json() {
        let picture = json!({ "type": "picture", "request": request, "model": model, "modelHash": model_hash });
        return terminal.print(&picture.to_string());
    }
    let number = |value: Option<f64>| value.map(|value| value.to_string());
    let count = |value: Option<usize>| value.map(|value| value.to_string());
    let size = request.width.zip(request.height).map(|(width, height)| format!("{width}x{height}"));
    let negative = Some(request.negative_prompt).filter(|text| !text.is_empty());
    let rows = [
        ("prompt", Some(request.prompt).filter(|text| !text.is_empty())),
        ("class", count(request.class)),
        ("negative", negative),
        ("size", size),
        ("steps", count(request.steps)),
        ("solver", request.solver),
        ("guidance", number(request.guidance)),
        ("time shift", number(request.time_shift)),
        ("seed", Some(request.seed.to_string())),
        ("model", model),
        ("model hash", model_hash),
    ];
    rows.into_iter().try_for_each(|(name, value)| value.map_or(Ok(()), |value| terminal.print(&row(name, &value))))
}

fn folder(folder: &Path, terminal: &Terminal) -> Result<()> {
    pollster::block_on(async {
        let reader = Reader::open(Rc::new(model::source(folder))).await?;
        let mut progress = Progress::new(terminal);
        progress.begin_of(format!("{}: comparing hashes", folder.display()), 0, Unit::Bytes);
        reader.verify(&mut |done, total| progress.update(done, total)).await?;
        drop(progress);
        describe(reader.manifest(), reader.identity(), terminal)
    })
}

/// The tensors of one network.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    name: String,
    architecture: String,
    tensors: usize,
    values: usize,
    /// How many values are stored in which format.
    formats: BTreeMap<&'static str, usize>,
}

fn describe(manifest: &Manifest, identity: &str, terminal: &Terminal) -> Result<()> {
    let Manifest { name, license, created_by, modalities, conditioning, sizes, sampling, files, .. } = manifest;
    let (parts, bytes) = (parts(manifest), files.iter().map(|file| file.bytes).sum::<u64>());
    if terminal.is_json() {
        let model = json!({
            "type": "model", "name": name, "modelHash": identity, "license": license, "createdBy": created_by,
            "modalities": modalities, "conditioning": conditioning, "sizes": sizes, "sampling": sampling, "components": parts, "bytes": bytes,
            "files": files.iter().map(|file| json!({ "path": file.path, "bytes": file.bytes })).collect::<Vec<_>>(),
            "verified": true,
        });
        return terminal.print(&model.to_string());
    }
    terminal.print(&row("model", name))?;
    terminal.print(&row("hash", identity))?;
    terminal.print(&row("license", license))?;
    terminal.print(&row("made by", created_by))?;
    let asked = match conditioning {
        Conditioning::Text => "a prompt",
        Conditioning::Labels => "a class",
    };
    terminal.print(&row("asked by", asked))?;
    for (modality, sizes) in sizes {
        let sides = |sides: &[u32]| sides.iter().map(u32::to_string).collect::<Vec<_>>().join("x");
        let frames = |frames: Frames| format!("; {} pictures, up to {}", frames.native, frames.max);
        let frames = sizes.frames.map_or(String::new(), frames);
        let size = format!("{}, multiples of {} up to {}", sides(&sizes.native), sizes.multiple, sides(&sizes.max));
        terminal.print(&row(modality, &format!("{size}{frames}")))?;
    }
    for (modality, sampling) in sampling {
        let text = format!(
            "{} steps of {}, guidance {}, time shift {}",
            sampling.steps, sampling.solver, sampling.guidance, sampling.time_shift
        );
        terminal.print(&row(&format!("{modality} by"), &text))?;
    }
    parts.iter().try_for_each(|part| terminal.print(&row(&part.name, &part.text())))?;
    for file in files {
        terminal.print(&row("file", &format!("{}, {} bytes", file.path, file.bytes)))?;
    }
    terminal.print(&row("verified", &format!("{bytes} bytes in {} files agree with their hashes", files.len())))
}

fn parts(manifest: &Manifest) -> Vec<Part> {
    manifest.components.named().map(|(name, component)| Part::new(name, component, manifest)).collect()
}

impl Part {
    fn new(name: String, component: &Component, manifest: &Manifest) -> Self {
        let prefix = format!("{name}.");
        let architecture = component.architecture.clone();
        let mut part = Self { name, architecture, tensors: 0, values: 0, formats: BTreeMap::new() };
        for (_, entry) in manifest.tensors.iter().filter(|(name, _)| name.starts_with(&prefix)) {
            let values: usize = entry.shape.iter().product();
            part.tensors += 1;
            part.values += values;
            *part.formats.entry(entry.format.name()).or_default() += values;
        }
        part
    }

    fn text(&self) -> String {
        let share = |(format, values): (&&str, &usize)| format!("{format} {values}");
        let formats = self.formats.iter().map(share).collect::<Vec<_>>().join(", ");
        format!("{}, {} tensors, {} values: {formats}", self.architecture, self.tensors, self.values)
    }
}

fn row(name: &str, value: &str) -> String {
    format!("{name:<14} {value}")
}
