//! What came of a measurement.

use serde::Serialize;

use super::{Times, memory};
use crate::{
    device::{Device, Kind as DeviceKind},
    kernels::KernelTime,
    progress::Settings,
    request::Kind,
    weights::Reader,
};

/// What was measured, where, and how long it took. Times are in milliseconds. As JSON it is the event `bench`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename = "bench", rename_all = "camelCase")]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// SHA-256 of its manifest.
    pub model_hash: String,
    /// Where it ran.
    pub adapter: Adapter,
    /// `generation` or `denoiser`.
    pub work: &'static str,
    /// Whether Burn's own operations computed instead of our kernels.
    pub stock: bool,
    /// What was made, or, of the denoiser, for what.
    pub kind: Kind,
    /// Pixels across; 0 for sound.
    pub width: usize,
    /// Pixels down; 0 for sound.
    pub height: usize,
    /// Frames of a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Views around an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<usize>,
    /// Seconds of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Solver intervals of a generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Its solver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solver: Option<String>,
    /// Its guidance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// Rows of the denoiser's batch.
    pub batch: usize,
    /// Tokens of each row.
    pub tokens: usize,
    /// Tokens of its caption.
    pub caption_tokens: usize,
    /// How long the model took to open.
    pub load_ms: f64,
    /// The first step, which is not counted.
    pub first_step_ms: f64,
    /// The median of the steps.
    pub step_ms: f64,
    /// The shortest step.
    pub least_step_ms: f64,
    /// Steps that were counted.
    pub counted: usize,
    /// A whole generation, the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_ms: Option<f64>,
    /// 10⁹ floating point operations a second in the median step ([`crate::model::FlagDitConfig::flops`]).
    pub gflops: f64,
    /// The most memory of the process, in a browser of the engine.
    pub peak_memory_bytes: Option<u64>,
    /// Memory of the GPU that was taken.
    pub device_memory_bytes: Option<u64>,
    /// Where the GPU's time went in one step, the most first, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<KernelTime>,
}

/// A device as reports name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adapter {
    /// What the driver calls it.
    pub name: String,
    /// The graphics API, or `flex` for the CPU.
    pub backend: &'static str,
    /// What sort of device it is.
    pub kind: DeviceKind,
    /// Whether it is a GPU interface that the CPU imitates: its times say nothing of a GPU's.
    pub is_software: bool,
}

impl From<&Device> for Adapter {
    fn from(device: &Device) -> Self {
        Self {
            name: device.name().to_owned(),
            backend: device.backend(),
            kind: device.kind(),
            is_software: device.is_software(),
        }
    }
}

/// The sequences that a step is about.
pub(super) struct Batch {
    pub rows: usize,
    pub tokens: usize,
    pub caption_tokens: usize,
    /// Floating point operations of a step.
    pub flops: f64,
}

impl Report {
    /// The report of `work` that took these times; `settings` say what was made.
    pub(super) fn new(
        work: &'static str,
        reader: &Reader,
        device: &Device,
        settings: &Settings,
        batch: &Batch,
        times: &Times,
    ) -> Self {
        let is_generation = settings.steps > 0;
        Self {
            model: reader.manifest().name.clone(),
            model_hash: reader.identity().to_owned(),
            adapter: device.into(),
            work,
            stock: false,
            kind: settings.kind,
            width: settings.width,
            height: settings.height,
            frames: settings.frames,
            views: settings.views,
            seconds: settings.seconds,
            steps: is_generation.then_some(settings.steps),
            solver: is_generation.then(|| settings.solver.clone()),
            guidance: is_generation.then_some(settings.guidance),
            batch: batch.rows,
            tokens: batch.tokens,
            caption_tokens: batch.caption_tokens,
            load_ms: times.load,
            first_step_ms: times.first,
            step_ms: times.median(),
            least_step_ms: times.least(),
            counted: times.counted.len(),
            generation_ms: None,
            gflops: batch.flops / times.median() / 1e6,
            peak_memory_bytes: memory::peak(),
            device_memory_bytes: memory::on_device(device),
            kernels: Vec::new(),
        }
    }
}
