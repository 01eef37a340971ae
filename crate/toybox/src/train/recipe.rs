//! What is trained and how: a JSON file, so that a recipe is data.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use flagdit::{
    decode::vae::VaeConfig, model::FlagDitConfig, text::language_model::LanguageModelConfig,
    weights::manifest::Sampling,
};
use serde::{Deserialize, Serialize};

use super::{optimizer::StepOptions, schedule::learning_rate};

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
    /// Share of times drawn from a logit-normal; the others are uniform.
    pub logit_normal: f32,
    /// Share of a batch that is rendered anew; the others come again from the last rendered ones.
    pub fresh: f32,
    /// Decay of the averaged weights.
    pub ema: f64,
    /// What the manifest states where a request does not say.
    pub sampling: Sampling,
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
    /// Pictures to see in all.
    pub pictures: u64,
    /// Pictures a step at the first size of `sizes`; others get as many as have the same area.
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
    /// Sizes with their share of the steps: width, height, weight.
    pub sizes: Vec<(u32, u32, f32)>,
    /// Share of the pictures that come from the simple curriculum, at the start and at the end.
    pub simple: (f32, f32),
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
        for checked in [self.vae.check(), self.text.check(), self.denoiser.check()] {
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
            ensure!(!stage.sizes.is_empty(), "{name}.sizes: expected at least one size");
            for &(width, height, share) in &stage.sizes {
                let fits = width > 0 && height > 0 && width % multiple == 0 && height % multiple == 0 && share > 0.0;
                ensure!(
                    fits,
                    "{name}.sizes: expected multiples of {multiple} with a share, found {width}x{height}: {share}"
                );
            }
        }
        Ok(())
    }
}

impl Stage {
    /// The optimizer's next step after `pictures`.
    pub fn step(&self, pictures: u64, ema: f64) -> StepOptions {
        let rate = learning_rate(self, pictures);
        StepOptions { rate, decay: self.weight_decay, ema, method: self.method }
    }

    /// How far the training is, 0 to 1.
    pub fn progress(&self, pictures: u64) -> f32 {
        (pictures as f32 / self.pictures as f32).min(1.0)
    }

    /// The share of simple scenes after `pictures`.
    pub fn simple_share(&self, pictures: u64) -> f32 {
        self.simple.0 + (self.simple.1 - self.simple.0) * self.progress(pictures)
    }

    /// The size of the next batch and how many pictures it holds.
    pub fn draw_size(&self, rng: &mut crate::world::Rng) -> (u32, u32, usize) {
        let total: f32 = self.sizes.iter().map(|size| size.2).sum();
        let mut left = rng.uniform() * total;
        let (first_width, first_height, _) = self.sizes[0];
        let chosen = self.sizes.iter().find(|size| {
            left -= size.2;
            left <= 0.0
        });
        let &(width, height, _) = chosen.unwrap_or(&self.sizes[0]);
        let batch = self.batch * (first_width * first_height) as usize / (width * height) as usize;
        (width, height, batch.max(1))
    }
}
