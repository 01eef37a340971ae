//! What a manifest says of one modality: which sizes there are, and how it is sampled.

use serde::{Deserialize, Serialize};

/// The sizes of what one modality makes: `[width, height]` in pixels; of sound `[frames]` of its spectrogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// What it was trained for.
    pub native: Vec<u32>,
    /// Every side is a multiple of this.
    pub multiple: u32,
    /// The largest that is allowed.
    pub max: Vec<u32>,
    /// How many pictures a video or a set of views has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<Frames>,
    /// Tokens of the longest sequence it was trained on. Beyond it RoPE's base grows (NTK) and attention is scaled in
    /// proportion (`model.md` §1.4); absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_tokens: Option<u32>,
    /// How other areas than the native one are met, in Lumina's way instead of that of `trained_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extrapolation: Option<Extrapolation>,
}

/// What changes with s = √(area / native area).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extrapolation {
    /// Proportional attention scales by 1/√d at so many tokens.
    pub base_tokens: u32,
    /// How positions are scaled.
    pub rope: RopeExtrapolation,
    /// Whether areas below the native one scale positions too (diffusers).
    #[serde(default)]
    pub below_native: bool,
}

/// How positions are scaled by s.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RopeExtrapolation {
    /// The base grows by s² (Lumina-T2I's demo).
    Ntk,
    /// Positions are divided by s until the watershed, then the base grows by s (Lumina-Next).
    TimeAware {
        /// A time; 1 is never reached, so positions are always divided.
        watershed: f64,
    },
}

/// How many pictures make a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// What it was trained for.
    pub native: u32,
    /// The most that are allowed.
    pub max: u32,
    /// How many are shown in a second, where they are a video and the request does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<u32>,
}

/// How a modality is sampled where a request does not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Solver steps.
    pub steps: u32,
    /// The solver's name.
    pub solver: String,
    /// Guidance scale; 1 is none.
    pub guidance: f64,
    /// How far time is shifted towards the noisy end; 1 is not at all.
    pub time_shift: f64,
    /// Where the steps lie.
    #[serde(default, skip_serializing_if = "Schedule::is_uniform")]
    pub schedule: Schedule,
    /// Guidance acts on so many latent channels, the first ones (Lumina: 3); absent: on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guided_channels: Option<u32>,
    /// Stands before prompt and negative prompt, and tells the text encoder what kind of thing to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_prefix: Option<String>,
}

/// Where the steps lie before they are shifted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Evenly from noise to data.
    #[default]
    Uniform,
    /// As the FlowMatchEulerDiscreteScheduler of diffusers has them, whose last step is a thousandth long.
    Diffusers,
}

impl Schedule {
    fn is_uniform(&self) -> bool {
        *self == Self::Uniform
    }
}
