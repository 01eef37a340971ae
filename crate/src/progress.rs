//! The events of a generation: one stream that every face consumes.

use std::{future::poll_fn, task::Poll};

use serde::{Deserialize, Serialize};

use crate::request::{Kind, Transition};

/// The parts of a generation, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Prompt to features.
    Encode,
    /// Noise to latent.
    Sample,
    /// Latent to frames or waveform.
    Decode,
}

impl Stage {
    /// How many there are.
    pub const COUNT: u64 = 3;

    /// As events spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Sample => "sample",
            Self::Decode => "decode",
        }
    }
}

/// The parts of opening a model, in the order in which each of its tensors meets them; `Compile` comes once, at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadStage {
    /// Bytes are compared with their hashes.
    Verify,
    /// Tensors move to the device.
    Upload,
    /// The device compiles its programs.
    Compile,
}

/// How far opening a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LoadProgress {
    /// What is being done.
    pub stage: LoadStage,
    /// How much of it is done: bytes of the model's files, or, while compiling, parts of a picture.
    pub loaded: u64,
    /// How much there is to do.
    pub total: u64,
}

/// A picture: 8-bit RGB, row-major, `width · height · 3` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// The pixels.
    pub rgb: Vec<u8>,
}

/// A sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// −1 … 1, one channel.
    pub samples: Vec<f32>,
    /// Samples a second.
    pub sample_rate: u32,
}

/// How long each stage took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// Prompt to features.
    pub encode_ms: f64,
    /// Noise to latent.
    pub sample_ms: f64,
    /// Latent to frames or waveform.
    pub decode_ms: f64,
}

/// What was made, with everything that is needed to make it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The kind of output.
    pub kind: Kind,
    /// One picture for [`Kind::Image`], the frames of a video, the views in the order of their azimuths. Of a sound its
    /// spectrogram.
    pub frames: Vec<Image>,
    /// The waveform of a sound.
    pub waveform: Option<Waveform>,
    /// The request with every default filled in.
    pub settings: Settings,
    /// How long it took.
    pub timings: Timings,
}

/// A request with every default filled in from the manifest: what picture metadata states.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// What was made.
    pub kind: Kind,
    /// What it shows; nothing where a class says it.
    pub prompt: String,
    /// Which class it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<usize>,
    /// What it should not show.
    pub negative_prompt: String,
    /// Pixels across; 0 for sound.
    pub width: usize,
    /// Pixels down; 0 for sound.
    pub height: usize,
    /// Frames of a video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Frames of a video that are shown in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Whether the end of a video leads back to its beginning.
    #[serde(default, rename = "loop", skip_serializing_if = "std::ops::Not::not")]
    pub is_loop: bool,
    /// What a video shows later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    /// Views around an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<usize>,
    /// Seconds of sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Solver intervals.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// The solver's name.
    pub solver: String,
    /// Time shift.
    pub time_shift: f64,
    /// Seed.
    pub seed: u64,
    /// The model's name.
    pub model: String,
    /// SHA-256 of the model's manifest.
    pub model_hash: String,
}

/// Lets whoever polls look up once: for progress to be told, and for an end to be asked for.
pub async fn pause() {
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

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A stage begins.
    Stage(Stage),
    /// How far the network of the stage is on its way to the device, where it was not there: networks that do not fit
    /// together come one after the other.
    Load(LoadProgress),
    /// Something that the caller should know and that is no failure (a prompt that was cut).
    Warning(String),
    /// `step` of `steps` solver intervals are done.
    Step {
        /// Intervals done.
        step: usize,
        /// Intervals in all.
        steps: usize,
    },
    /// `done` of `total` parts of the output are decoded: frames, tiles of a large picture in each of several passes, or
    /// improvements of a sound. Not told of what comes in one part.
    Decode {
        /// Parts done.
        done: usize,
        /// Parts in all.
        total: usize,
    },
    /// What the frames would be if sampling stopped now (of a sound: its spectrogram).
    Preview(Vec<Image>),
    /// The end.
    Done(Box<Output>),
}
