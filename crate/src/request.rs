//! What a caller asks for. The CLI, the JavaScript API and the Rust API all fill in one [`Request`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Kinds of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One picture.
    Image,
    /// Frames in time.
    Video,
    /// Views around an object.
    Views,
    /// A waveform.
    Audio,
}

impl Kind {
    /// As requests and manifests spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Views => "views",
            Self::Audio => "audio",
        }
    }
}

/// The most steps a request may ask for.
pub const MAX_STEPS: usize = 1000;
/// The largest guidance scale.
pub const MAX_GUIDANCE: f64 = 100.0;
/// The time shifts that leave a grid of a thousand steps its order.
pub const TIME_SHIFTS: std::ops::RangeInclusive<f64> = 1e-3..=1e3;
/// Seeds are exact in JavaScript too: 0 … 2⁵³ − 1.
pub const MAX_SEED: u64 = (1 << 53) - 1;

/// One generation. What is absent comes from the model's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// What to make.
    pub kind: Kind,
    /// What it shows.
    pub prompt: String,
    /// What it should not show; empty: the null caption.
    #[serde(default)]
    pub negative_prompt: String,
    /// Pixels across.
    #[serde(default)]
    pub width: Option<usize>,
    /// Pixels down.
    #[serde(default)]
    pub height: Option<usize>,
    /// Solver intervals, 1 … [`MAX_STEPS`].
    #[serde(default)]
    pub steps: Option<usize>,
    /// Classifier-free guidance, 0 … [`MAX_GUIDANCE`]; 1: none.
    #[serde(default)]
    pub guidance: Option<f64>,
    /// The solver's name.
    #[serde(default)]
    pub solver: Option<String>,
    /// Time shift, within [`TIME_SHIFTS`].
    #[serde(default)]
    pub time_shift: Option<f64>,
    /// 0 … [`MAX_SEED`].
    pub seed: u64,
    /// A preview after every so many steps; 0: none.
    #[serde(default)]
    pub preview_every: usize,
}

impl Request {
    /// A picture of `width` × `height` pixels.
    pub fn image(prompt: impl Into<String>, width: usize, height: usize) -> Self {
        Self {
            kind: Kind::Image,
            prompt: prompt.into(),
            negative_prompt: String::new(),
            width: Some(width),
            height: Some(height),
            steps: None,
            guidance: None,
            solver: None,
            time_shift: None,
            seed: 0,
            preview_every: 0,
        }
    }

    /// With this seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// With so many solver intervals.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// With this guidance scale.
    pub fn guidance(mut self, scale: f64) -> Self {
        self.guidance = Some(scale);
        self
    }

    /// Refuses what no model could do. Sizes are checked against the model's manifest, later.
    ///
    /// # Errors
    ///
    /// `bad-request` that names the field.
    pub fn check(&self) -> Result<()> {
        if self.prompt.trim().is_empty() {
            return Err(Error::bad_request("prompt").expected("a text that says what to make").found("nothing"));
        }
        match self.steps {
            Some(steps) if steps == 0 || steps > MAX_STEPS => {
                return Err(Error::bad_request("steps").expected(format!("1 to {MAX_STEPS}")).found(steps.to_string()));
            }
            _ => {}
        }
        match self.guidance {
            Some(scale) if !(0.0..=MAX_GUIDANCE).contains(&scale) => {
                let expected = format!("0 to {MAX_GUIDANCE}, 1 meaning none");
                return Err(Error::bad_request("guidance").expected(expected).found(scale.to_string()));
            }
            _ => {}
        }
        match self.time_shift {
            Some(shift) if !TIME_SHIFTS.contains(&shift) => {
                let expected = format!("{} to {}, 1 meaning none", TIME_SHIFTS.start(), TIME_SHIFTS.end());
                return Err(Error::bad_request("time shift").expected(expected).found(shift.to_string()));
            }
            _ => {}
        }
        if self.seed > MAX_SEED {
            let expected = format!("0 to {MAX_SEED}");
            return Err(Error::bad_request("seed").expected(expected).found(self.seed.to_string()));
        }
        Ok(())
    }
}
