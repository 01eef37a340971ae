//! What a request takes of a device, before anything is downloaded or loaded: bytes of files, memory of each stage, and
//! whether the device's limits allow it.
//!
//! Weights are counted to the byte, as they lie on the device. What a stage works with is counted by its largest tensors
//! that live at the same time, and is right within some ten percent where they are large.

mod blueprint;

use serde::Serialize;

use crate::{
    device::Capacity,
    error::{Error, ErrorKind, Result},
    kernels::attention::SCORES_BYTES,
    model::{LatentShape, feed_forward::HIDDEN_BYTES},
    parts::{DENOISER, IMAGE_DECODER, TEXT},
    progress::{Settings, Stage},
    request::Kind,
    text::embeddings::TABLE,
    weights::{Placement, manifest::TensorEntry},
};

pub use blueprint::Blueprint;

/// Everything is computed in f32.
const F32: u64 = size_of::<f32>() as u64;
/// Tokens a prompt is counted with: all that fit, but never more than upstream's longest.
const CAPTION: usize = 256;
/// Guided evaluations have two rows.
const ROWS: u64 = 2;

/// What one stage needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StagePlan {
    /// Which.
    pub stage: Stage,
    /// Bytes of its network on the device.
    pub weights: u64,
    /// Bytes that it works with.
    pub working: u64,
}

impl StagePlan {
    /// Bytes while it runs alone.
    pub fn bytes(&self) -> u64 {
        self.weights + self.working
    }
}

/// The largest tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Largest {
    /// What it is.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
}

/// What a request takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Bytes of the model's files.
    pub download: u64,
    /// Tokens of the denoiser's sequence.
    pub tokens: usize,
    /// Rows of the denoiser's batch (guided evaluations have two) that are evaluated at once: all, if the device binds
    /// their tokens.
    pub batch: usize,
    /// How many tokens of a row are at most one tensor: all, if the device binds them. More rows than one are then evaluated
    /// one by one, span after span of tokens.
    pub span: usize,
    /// In the order in which they run.
    pub stages: [StagePlan; 3],
    /// Whether all networks stay on the device; otherwise each is freed when the next one needs its place.
    pub stays_loaded: bool,
    /// The most bytes at a time.
    pub peak: u64,
    /// The largest tensor, which must be no larger than the device binds.
    pub largest: Largest,
    /// What the device can hold.
    pub capacity: Capacity,
    /// What the device cannot do, and what to ask for instead; none if it can do all.
    pub obstacles: Vec<String>,
}

impl Plan {
    /// The plan for settings of [`Blueprint::settings`].
    ///
    /// # Errors
    ///
    /// `bad-request` for other settings.
    pub fn new(blueprint: &Blueprint, settings: &Settings, capacity: Capacity) -> Result<Self> {
        let shape = blueprint.shape(settings)?;
        let tokens = blueprint.denoiser.layout(shape).tokens();
        let batch = (capacity.largest() / stream(blueprint, tokens)).clamp(1, rows(settings));
        let span = span(blueprint, tokens, &capacity);
        let held = tokens.min(span + SEPARATORS);
        let weights = Weights { blueprint, placement: Placement::new(&capacity) };
        let stages = [
            StagePlan { stage: Stage::Encode, weights: weights.of(TEXT), working: encoding(blueprint) },
            StagePlan {
                stage: Stage::Sample,
                weights: weights.of(DENOISER),
                working: sampling(blueprint, settings, shape, batch) as u64,
            },
            StagePlan {
                stage: Stage::Decode,
                weights: weights.of(IMAGE_DECODER),
                working: decoding(blueprint, settings, capacity),
            },
        ];
        let together = stages.iter().map(|stage| stage.weights).sum::<u64>()
            + stages.iter().map(|stage| stage.working).max().unwrap_or(0);
        let alone = stages.iter().map(StagePlan::bytes).max().unwrap_or(0);
        let stays_loaded = together <= capacity.memory;
        let mut plan = Self {
            download: blueprint.manifest().files.iter().map(|file| file.bytes).sum(),
            tokens,
            batch: batch as usize,
            span,
            stages,
            stays_loaded,
            peak: if stays_loaded { together } else { alone },
            largest: weights.largest(settings, batch * stream(blueprint, held), capacity),
            capacity,
            obstacles: Vec::new(),
        };
        plan.obstacles = plan.find_obstacles();
        Ok(plan)
    }

    /// Whether the decoder of pictures fits beside the denoiser while that is at work.
    pub fn can_preview(&self) -> bool {
        let [_, sample, decode] = self.stages;
        let both = sample.weights + decode.weights + sample.working.max(decode.working);
        self.stays_loaded || both <= self.capacity.memory
    }

    fn find_obstacles(&self) -> Vec<String> {
        let mut obstacles = Vec::new();
        if let Some(stage) = self.stages.iter().find(|stage| stage.bytes() > self.capacity.memory) {
            let (needed, there) = (megabytes(stage.bytes()), megabytes(self.capacity.memory));
            let how = if self.capacity.is_known { "are free" } else { "are assumed" };
            obstacles.push(format!(
                "to {} takes {needed} MB, {there} MB {how}: {}",
                stage.stage.name(),
                if stage.working > stage.weights {
                    "ask for a smaller size"
                } else {
                    "take a model with fewer bits a weight"
                },
            ));
        }
        if self.largest.bytes > self.capacity.largest() {
            obstacles.push(format!(
                "{} has {} MB, the adapter binds at most {} MB: ask for a smaller size, or use the device cpu",
                self.largest.name,
                megabytes(self.largest.bytes),
                megabytes(self.capacity.largest()),
            ));
        }
        obstacles
    }

    /// What this stage needs.
    pub fn stage(&self, stage: Stage) -> StagePlan {
        self.stages[stage as usize]
    }

    /// Refuses a model of which one network is known not to fit, whatever is asked of it.
    ///
    /// # Errors
    ///
    /// `out-of-memory` that names the network.
    pub fn refuse_networks(&self) -> Result<()> {
        let there = self.capacity.memory;
        match self.stages.iter().find(|stage| stage.weights > there) {
            Some(stage) if self.capacity.is_known => Err(Error::new(
                ErrorKind::OutOfMemory,
                format!(
                    "the network to {} has {} MB, {} MB are free: take a model with fewer bits a weight",
                    stage.stage.name(),
                    megabytes(stage.weights),
                    megabytes(there),
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses what is known not to fit; where memory is a guess, trying is the way to know.
    ///
    /// # Errors
    ///
    /// `out-of-memory` with the first obstacle.
    pub fn refuse(&self) -> Result<()> {
        match self.obstacles.first() {
            Some(obstacle) if self.capacity.is_known => Err(Error::new(ErrorKind::OutOfMemory, obstacle.clone())),
            _ => Ok(()),
        }
    }
}

/// Bytes as a whole number of megabytes, rounded up.
pub fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// The model's tensors as they lie on the device.
struct Weights<'a> {
    blueprint: &'a Blueprint,
    placement: Placement,
}

impl Weights<'_> {
    /// Those of a component; the token table stays in its file.
    fn tensors(&self, component: &str) -> impl Iterator<Item = (&String, &TensorEntry)> {
        let prefix = format!("{component}.");
        let tensors = self.blueprint.manifest().tensors.iter();
        tensors.filter(move |(name, _)| name.starts_with(&prefix) && name.as_str() != TABLE)
    }

    fn of(&self, component: &str) -> u64 {
        self.tensors(component).map(|(_, entry)| self.placement.bytes(&entry.shape, entry.format)).sum()
    }

    /// The largest tensor of weights, of which matrices come in pieces that the device binds, or of numbers.
    fn largest(&self, settings: &Settings, stream: u64, capacity: Capacity) -> Largest {
        let blueprint = self.blueprint;
        let piece = |(name, entry): (_, &TensorEntry)| (name, self.placement.largest_piece(&entry.shape, entry.format));
        let components = [TEXT, DENOISER, IMAGE_DECODER].into_iter();
        let weights = components.flat_map(|component| self.tensors(component)).map(piece);
        let (name, bytes) =
            weights.max_by_key(|(_, bytes)| *bytes).map_or((String::new(), 0), |(name, bytes)| (name.clone(), bytes));
        let pixels = match settings.kind {
            Kind::Audio => 0,
            _ => {
                let whole = blueprint.vae.largest(settings.height, settings.width);
                whole.min(capacity.tensor_bytes()).max(latent_layer(blueprint, settings))
            }
        };
        [(name, bytes), ("the stream of tokens".to_owned(), stream), ("the decoder's largest layer".to_owned(), pixels)]
            .into_iter()
            .map(|(name, bytes)| Largest { name, bytes })
            .max_by_key(|largest| largest.bytes)
            .unwrap_or_else(|| Largest { name: "nothing".to_owned(), bytes: 0 })
    }
}

/// Rows of the denoiser's batch.
fn rows(settings: &Settings) -> u64 {
    settings.transitions.len() as u64 + ROWS
}

/// A layer of the text encoder, if there is one: the stream, queries, keys, values and what comes of them, the scores, the hidden layer.
fn encoding(blueprint: &Blueprint) -> u64 {
    let Some(config) = &blueprint.text else { return 0 };
    let (tokens, width) = (CAPTION as u64, config.hidden_size as u64);
    let scores = 2 * config.num_attention_heads as u64 * tokens;
    ROWS * tokens * (6 * width + scores + 3 * config.intermediate_size as u64) * F32
}

/// Tokens that a span is embedded beside, whether they are in it or not.
const SEPARATORS: usize = 2;

/// How many tokens of a row are at most one tensor: all, or as many as the device binds with the separators among them.
fn span(blueprint: &Blueprint, tokens: usize, capacity: &Capacity) -> usize {
    let bound = (capacity.largest() / stream(blueprint, 1)).min(tokens as u64) as usize;
    if bound == tokens { tokens } else { bound.saturating_sub(SEPARATORS).max(1) }
}

/// Bytes of so many tokens of one row.
fn stream(blueprint: &Blueprint, tokens: usize) -> u64 {
    (tokens as u64 * blueprint.denoiser.dim as u64).max(1) * F32
}

/// A block of the denoiser for so many rows at once: the stream, its normed copy, queries, keys, values and what comes of them; scores and the
/// hidden layer, of which no more than a piece is held at once; and the caption's keys and values of all blocks.
///
/// Bytes, as f64: what is asked for may be far more than there can be.
fn sampling(blueprint: &Blueprint, settings: &Settings, shape: LatentShape, batch: u64) -> f64 {
    let config = &blueprint.denoiser;
    let numbers = |count: usize| count as f64 * F32 as f64;
    let (batch, tokens) = (batch as f64, config.layout(shape).tokens() as f64);
    let stream = 8.0 * batch * tokens * numbers(config.dim);
    let hidden = (batch * tokens * numbers(config.ffn_dim())).min(HIDDEN_BYTES as f64);
    let scores = (batch * tokens * tokens * numbers(config.n_heads)).min(SCORES_BYTES as f64);
    let captions = blueprint.text.as_ref().map_or(0.0, |_| rows(settings) as f64 * CAPTION as f64);
    let caption = 2.0 * captions * numbers(config.n_layers * config.kv_heads() * config.head_dim());
    stream + 3.0 * hidden + 3.0 * scores + caption
}

/// The decoder, frame by frame: a few copies of its largest layer, or of a tile's beside what works at the latent's
/// resolution. Measured at 512² and 1024² with the SDXL autoencoder: 3.6 to 3.8 layers, 4 tiles and twice the latent's.
fn decoding(blueprint: &Blueprint, settings: &Settings, capacity: Capacity) -> u64 {
    if settings.kind == Kind::Audio {
        return 0;
    }
    let whole = blueprint.vae.largest(settings.height, settings.width);
    let tile = capacity.tensor_bytes();
    if whole <= tile { 4 * whole } else { 4 * tile + 3 * latent_layer(blueprint, settings) }
}

/// A layer of the decoder at the latent's resolution.
fn latent_layer(blueprint: &Blueprint, settings: &Settings) -> u64 {
    let factor = blueprint.vae.factor();
    let channels = blueprint.vae.block_out_channels.last().copied().unwrap_or(0);
    (channels * (settings.height / factor) * (settings.width / factor)) as u64 * F32
}
