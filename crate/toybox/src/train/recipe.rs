//! What is trained and how: a JSON file, so that a recipe is data.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};
use flagdit::{
    decode::{mel::MelConfig, vae::VaeConfig},
    model::FlagDitConfig,
    request::Kind,
    text::language_model::LanguageModelConfig,
    weights::manifest::{Sampling, Sizes},
};
use serde::{Deserialize, Serialize};

use super::{optimizer::StepOptions, schedule::learning_rate};
use crate::world::video;

/// A whole recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Decides every random number of the training.
    pub seed: u64,
    /// The autoencoder's shape; `scaling_factor` and `shift_factor` are measured after its training.
    pub vae: VaeConfig,
    /// The text encoder's shape; `vocab_size` is an upper bound for the tokenizer.
    pub text: LanguageModelConfig,
    /// The Flag-DiT's shape.
    pub denoiser: FlagDitConfig,
    /// How the autoencoder is trained.
    pub autoencoder: Stage,
    /// Weight of the mean KL divergence of a latent value against the mean error of a pixel value.
    pub kl_weight: f64,
    /// How the Flag-DiT is trained.
    pub flow: Stage,
    /// How the decoder alone is trained afterwards.
    pub decoder: Stage,
    /// Share of captions that are dropped, so that guidance has an unconditional model.
    pub caption_dropout: f32,
    /// Share of a batch that is rendered anew; the others come again from the last rendered ones.
    pub fresh: f32,
    /// Decay of the averaged weights.
    pub ema: f64,
    /// How sound becomes a spectrogram, where there is any.
    #[serde(default)]
    pub mel: Option<MelConfig>,
    /// What is made, with what the manifest states of it.
    pub modalities: BTreeMap<Kind, Modality>,
}

/// A kind of output as the manifest states it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modality {
    /// The sizes that are allowed.
    pub sizes: Sizes,
    /// What is used where a request does not say.
    pub sampling: Sampling,
    /// At which times of the path it is learnt.
    pub times: Times,
}

/// How the times of a training are drawn: from a logit-normal (arXiv 2403.03206 §3.1), and some uniformly.
///
/// What the whole of a sample is, is decided the earlier the more values it has: noise that hides a single picture of
/// 1024 values leaves the direction in which an object moves through eight of them plain to see. So every kind has its
/// own `mean`, and those of many values have a low one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Share of uniform times.
    pub uniform: f32,
    /// Mean of the others' logit; below 0 is nearer to the noise.
    pub mean: f32,
    /// Standard deviation of their logit.
    pub std: f32,
}

impl Times {
    /// A time in 0 … 1.
    pub fn draw(&self, rng: &mut crate::world::Rng) -> f32 {
        if rng.chance(self.uniform) {
            return rng.uniform();
        }
        let (u, v) = (rng.uniform().max(1e-7), rng.uniform());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos();
        1.0 / (1.0 + (-self.mean - self.std * normal).exp())
    }
}

/// Samples of one kind and size, which fit into one batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// What they are.
    #[serde(default = "image")]
    pub kind: Kind,
    /// Pixels across and down; of sound: frames and bands of its spectrogram.
    pub size: [u32; 2],
    /// Pictures a sample, of videos and views.
    #[serde(default = "one")]
    pub frames: usize,
    /// Share of the steps.
    pub share: f32,
}

fn image() -> Kind {
    Kind::Image
}

fn one() -> usize {
    1
}

/// A frame of sound costs as much as so many pixels: two frames are a token, as are 16 × 16 pixels.
const PIXELS_A_FRAME: usize = 128;

impl Bucket {
    /// What one sample costs, in pixels.
    pub fn cost(&self) -> usize {
        let [width, height] = self.size.map(|side| side as usize);
        match self.kind {
            Kind::Audio => width * PIXELS_A_FRAME,
            _ => width * height * self.frames,
        }
    }
}

/// What matrices inside the networks learn by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// AdamW.
    #[default]
    AdamW,
    /// Muon; its rate is on AdamW's scale.
    Muon,
}

/// One stage of the training.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Pictures to see in all. Other samples count as so many pictures of the first bucket as cost the same.
    pub pictures: u64,
    /// Pictures a step of the first bucket; others get as many samples as cost the same.
    pub batch: usize,
    /// What matrices inside the networks learn by; everything else learns by AdamW.
    #[serde(default)]
    pub method: Method,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Pictures over which the rate rises.
    pub warmup: u64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// What the samples are; a step takes one bucket.
    pub buckets: Vec<Bucket>,
    /// Share of the pictures that come from the simple curriculum, at the start and at the end.
    pub simple: (f32, f32),
    /// Share of the videos in which something spins.
    #[serde(default = "spins")]
    pub spins: f32,
}

fn spins() -> f32 {
    video::SPINS
}

impl Recipe {
    /// Reads a recipe.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("recipe {}", path.display()))?;
        let recipe: Self = serde_json::from_str(&text).with_context(|| format!("recipe {}", path.display()))?;
        recipe.check().with_context(|| format!("recipe {}", path.display()))?;
        Ok(recipe)
    }

    /// Refuses what would fail in the middle of a training.
    fn check(&self) -> Result<()> {
        let mel = self.mel.as_ref().map_or(Ok(()), MelConfig::check);
        for checked in [self.vae.check(), self.text.check(), self.denoiser.check(), mel] {
            checked?;
        }
        ensure!(
            self.denoiser.cap_feat_dim == self.text.hidden_size,
            "denoiser.cap_feat_dim differs from text.hidden_size"
        );
        ensure!(
            self.denoiser.in_channels == self.vae.latent_channels,
            "denoiser.in_channels differs from vae.latent_channels"
        );
        ensure!(self.fresh > 0.0 && self.fresh <= 1.0, "fresh: expected above 0, at most 1, found {}", self.fresh);
        ensure!((0.0..1.0).contains(&self.ema), "ema: expected 0 to below 1, found {}", self.ema);
        let multiple = (self.vae.factor() * self.denoiser.patch_size) as u32;
        for (name, stage) in [("autoencoder", &self.autoencoder), ("flow", &self.flow), ("decoder", &self.decoder)] {
            ensure!(stage.pictures > 0 && stage.batch > 0, "{name}: pictures and batch must be above 0");
            ensure!(!stage.buckets.is_empty(), "{name}.buckets: expected at least one");
            ensure!((0.0..=1.0).contains(&stage.spins), "{name}.spins: expected 0 to 1, found {}", stage.spins);
            for bucket in &stage.buckets {
                self.check_bucket(bucket, multiple).with_context(|| format!("{name}.buckets: {bucket:?}"))?;
            }
        }
        Ok(())
    }

    fn check_bucket(&self, bucket: &Bucket, multiple: u32) -> Result<()> {
        let [width, height] = bucket.size;
        ensure!(self.modalities.contains_key(&bucket.kind), "expected a kind of the recipe's modalities");
        ensure!(width > 0 && height > 0 && bucket.frames > 0 && bucket.share > 0.0, "expected numbers above 0");
        if bucket.kind != Kind::Audio {
            ensure!(width % multiple == 0 && height % multiple == 0, "expected multiples of {multiple}");
            return Ok(());
        }
        let (Some(mel), Some(audio)) = (&self.mel, self.denoiser.audio) else {
            anyhow::bail!("expected mel and denoiser.audio beside it");
        };
        ensure!(mel.bands == audio.bands && height as usize == audio.bands, "expected the same number of bands");
        ensure!((width as usize).is_multiple_of(audio.frames), "expected a multiple of a token's frames");
        Ok(())
    }

    /// What stands before the captions of a kind.
    pub fn prefix(&self, kind: Kind) -> &str {
        let modality = self.modalities.get(&kind);
        modality.and_then(|modality| modality.sampling.prompt_prefix.as_deref()).unwrap_or_default()
    }
}

impl Stage {
    /// The optimizer's next step after `pictures`, the whole being as far as `progress`.
    pub fn step(&self, pictures: u64, progress: f64, ema: f64) -> StepOptions {
        let rate = learning_rate(self, pictures, progress);
        StepOptions { rate, decay: self.weight_decay, ema, method: self.method }
    }

    /// How far a training to its last picture is, 0 to 1.
    pub fn progress(&self, pictures: u64) -> f64 {
        (pictures as f64 / self.pictures as f64).min(1.0)
    }

    /// The share of simple scenes after `pictures`.
    pub fn simple_share(&self, pictures: u64) -> f32 {
        self.simple.0 + (self.simple.1 - self.simple.0) * self.progress(pictures) as f32
    }

    /// The bucket of the next batch, by its place in the list, and how many samples it holds.
    pub fn draw_bucket(&self, rng: &mut crate::world::Rng) -> (usize, usize) {
        let total: f32 = self.buckets.iter().map(|bucket| bucket.share).sum();
        let mut left = rng.uniform() * total;
        let chosen = self.buckets.iter().position(|bucket| {
            left -= bucket.share;
            left <= 0.0
        });
        let chosen = chosen.unwrap_or_default();
        let count = self.batch * self.buckets[0].cost() / self.buckets[chosen].cost();
        (chosen, count.max(1))
    }
}
