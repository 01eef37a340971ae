//! The shape of a Flag-DiT or Next-DiT, with upstream's names (`lumina_t2i/models/model.py`, `DiT_Llama`;
//! `lumina_next_t2i/models/model.py`, `NextDiT`).

mod check;

use serde::{Deserialize, Serialize};

use super::{LatentShape, TokenLayout};

/// Constructor arguments. `model.md` §1.1 lists the released ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagDitConfig {
    /// Which of the family it is.
    #[serde(default, skip_serializing_if = "Variant::is_flag")]
    pub variant: Variant,
    /// Latent pixels along each side of a patch.
    pub patch_size: usize,
    /// Latent channels.
    pub in_channels: usize,
    /// Width D of the token stream.
    pub dim: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads H.
    pub n_heads: usize,
    /// Key and value heads; absent: as many as query heads.
    #[serde(default)]
    pub n_kv_heads: Option<usize>,
    /// The feed-forward width is rounded up to a multiple of this.
    pub multiple_of: usize,
    /// Factor on the feed-forward width.
    #[serde(default)]
    pub ffn_dim_multiplier: Option<f64>,
    /// ε of the RMS norms.
    pub norm_eps: f64,
    /// Whether the final layer emits twice the channels; the second half is an untrained leftover and dropped.
    pub learn_sigma: bool,
    /// Whether queries and keys are normalised.
    pub qk_norm: bool,
    /// Width C of the caption features; 0 where labels stand in for captions.
    #[serde(default)]
    pub cap_feat_dim: usize,
    /// Labels of a class-conditional model (ImageNet: 1000), which knows no captions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_classes: Option<usize>,
    /// Axes of RoPE: 1 counts the tokens of the sequence (Flag-DiT), 2 rows and columns (Next-DiT), 3 frames too; absent:
    /// the variant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_axes: Option<usize>,
    /// Positions are divided by this.
    #[serde(default = "one", alias = "scale_factor")]
    pub rope_scaling_factor: f64,
    /// The RoPE base (10 000) is multiplied by this.
    #[serde(default = "one")]
    pub ntk_factor: f64,
    /// Whether every row of patches ends with a learned [nextline] token. Only where RoPE has one axis.
    #[serde(default = "yes")]
    pub nextline: bool,
    /// Whether every frame ends with a learned [nextframe] token when there is more than one.
    #[serde(default)]
    pub nextframe: bool,
    /// Whether the tokens of a frame are told how much of the clip is over. Flag-DiT has nothing of the kind: positions that
    /// are relative tell a frame its neighbours, but not whether it is the third or the fourth.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frame_phase: bool,
    /// How spectrograms become tokens, where the model knows sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioPatch>,
}

/// Which member of the family a model is. Blocks, embedders and attention are the same; norms, modulation and positions
/// differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Flag-DiT (Lumina-T2I): a norm before attention and feed-forward layer, shifts, scales and gates, 1-D RoPE.
    #[default]
    Flag,
    /// Next-DiT (Lumina-Next): a norm before and behind each, scales and tanh of gates, RoPE by row and column.
    Next,
}

impl Variant {
    fn is_flag(&self) -> bool {
        *self == Self::Flag
    }
}

/// A token of sound: all bands of a few frames of a log-mel spectrogram. Sound has its own patch embedder and final
/// layer; the blocks are those of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioPatch {
    /// Mel bands.
    pub bands: usize,
    /// Spectrogram frames a token.
    pub frames: usize,
    /// What the final layer's output is.
    #[serde(default)]
    pub predicts: Prediction,
}

/// What a network's output is taken for. The sampler is always given the velocity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// The velocity, data − noise.
    #[default]
    Velocity,
    /// The data, from which the velocity follows (Li and He, 2025, arXiv 2511.13720). A token need not be wide enough
    /// to carry the noise of all its values through the blocks.
    Data,
}

/// The extent of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Channels on the way in, as many come out.
    pub channels: usize,
    /// Latent rows.
    pub height: usize,
    /// Latent columns.
    pub width: usize,
}

impl Patch {
    /// Values it holds.
    pub fn values(&self) -> usize {
        self.channels * self.height * self.width
    }
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

impl FlagDitConfig {
    /// Width of a head, d.
    pub fn head_dim(&self) -> usize {
        self.dim / self.n_heads
    }

    /// Key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.n_kv_heads.unwrap_or(self.n_heads)
    }

    /// Axes of RoPE.
    pub fn rope_axes(&self) -> usize {
        self.rope_axes.unwrap_or(match self.variant {
            Variant::Flag => 1,
            Variant::Next => 2,
        })
    }

    /// Vectors of width D that a block's modulation makes: shift, scale and gate of attention and of the feed-forward layer;
    /// without the shifts in Next-DiT.
    pub fn modulation_parts(&self) -> usize {
        match self.variant {
            Variant::Flag => 6,
            Variant::Next => 4,
        }
    }

    /// Whether the final layer shifts: all but the Next-DiT of captions do.
    pub fn has_final_shift(&self) -> bool {
        self.variant == Variant::Flag || self.num_classes.is_some()
    }

    /// Width E of the conditioning vector.
    pub fn conditioning_dim(&self) -> usize {
        self.dim.min(1024)
    }

    /// Width of the feed-forward layer: ⅔ · 4 D, times the multiplier, rounded up.
    pub fn ffn_dim(&self) -> usize {
        let width = 2 * 4 * self.dim / 3;
        let width = self.ffn_dim_multiplier.map_or(width, |factor| (factor * width as f64) as usize);
        width.div_ceil(self.multiple_of) * self.multiple_of
    }

    /// The patch of pictures.
    pub fn patch(&self) -> Patch {
        Patch { channels: self.in_channels, height: self.patch_size, width: self.patch_size }
    }

    /// The patch of sound.
    pub fn audio_patch(&self) -> Option<Patch> {
        self.audio.map(|audio| Patch { channels: 1, height: audio.bands, width: audio.frames })
    }

    /// Values that leave the final layer for a patch.
    pub fn out_values(&self, patch: Patch) -> usize {
        if self.learn_sigma { 2 * patch.values() } else { patch.values() }
    }

    /// The tokens of a latent of this shape, in their order. Sound is one line without separators.
    pub fn layout(&self, shape: LatentShape) -> TokenLayout {
        match shape {
            LatentShape::Frames { frames, height, width } => TokenLayout {
                frames,
                rows: height / self.patch_size,
                cols: width / self.patch_size,
                nextline: self.nextline,
                nextframe: self.nextframe,
            },
            LatentShape::Spectrogram { frames } => TokenLayout {
                frames: 1,
                rows: 1,
                cols: frames / self.audio.map_or(1, |audio| audio.frames),
                nextline: false,
                nextframe: false,
            },
        }
    }

    /// Floating point operations (a multiplication and an addition are two) of one evaluation: `batch` sequences of
    /// `tokens` tokens, `caption` caption tokens each, which were prepared before. Matrix products only; the rest is a
    /// few hundredths of it.
    pub fn flops(&self, batch: usize, tokens: usize, caption: usize) -> f64 {
        let [b, n, t] = [batch, tokens, caption].map(|count| count as f64);
        let [d, e] = [self.dim, self.conditioning_dim()].map(|width| width as f64);
        let kv = (self.kv_heads() * self.head_dim()) as f64;
        let projections = n * (2.0 * d * d + 2.0 * d * kv);
        let attention = 2.0 * n * (n + t) * d;
        let feed_forward = n * 3.0 * d * self.ffn_dim() as f64;
        let block = projections + attention + feed_forward + self.modulation_parts() as f64 * e * d;
        let patch = self.patch();
        let values = patch.values() + self.out_values(patch);
        let ends = n * d * values as f64 + e * (256.0 + e + 2.0 * d);
        2.0 * b * (self.n_layers as f64 * block + ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Result};

    #[test]
    fn flops_grow_with_tokens_and_their_square() -> Result<()> {
        let config: FlagDitConfig = serde_json::from_value(serde_json::json!({
            "patch_size": 2, "in_channels": 4, "dim": 64, "n_layers": 1, "n_heads": 4, "multiple_of": 32,
            "norm_eps": 1e-5, "learn_sigma": true, "qk_norm": true, "cap_feat_dim": 48
        }))
        .map_err(|error| Error::bad_model(error.to_string()))?;
        config.check()?;
        assert_eq!(config.ffn_dim(), 192);
        let flops = |tokens| config.flops(1, tokens, 0);
        // Second differences leave the attention: 2 · 2 · D · N² for one head's worth of scores and values.
        let second = flops(3) - 2.0 * flops(2) + flops(1);
        assert_eq!(second, 2.0 * 2.0 * 2.0 * 64.0);
        assert_eq!(config.flops(2, 20, 7), 2.0 * config.flops(1, 20, 7));
        Ok(())
    }

    #[test]
    fn an_impossible_configuration_is_refused_by_name() {
        let mut config: FlagDitConfig = serde_json::from_value(serde_json::json!({
            "patch_size": 2, "in_channels": 4, "dim": 64, "n_layers": 1, "n_heads": 4, "multiple_of": 32,
            "norm_eps": 1e-5, "learn_sigma": true, "qk_norm": true, "cap_feat_dim": 48
        }))
        .expect("a configuration");
        config.n_heads = 5;
        assert!(config.check().is_err_and(|error| error.to_string().contains("n_heads")));
        (config.n_heads, config.n_layers) = (4, usize::MAX);
        assert!(config.check().is_err_and(|error| error.to_string().contains("n_layers")));
    }
}
