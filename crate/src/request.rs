//! What a caller asks for. The CLI, the JavaScript API and the Rust API all fill in one [`Request`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Kinds of output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One picture.
    #[default]
    Image,
    /// Frames in time.
    Video,
    /// Views around an object.
    Views,
    /// A waveform.
    Audio,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Image, Self::Video, Self::Views, Self::Audio];

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

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

/// The most frames a second that players show.
pub const MAX_FPS: u32 = 100;
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
    /// What it shows; nothing where a class says it.
    #[serde(default)]
    pub prompt: String,
    /// Which of a model's classes it shows, from 0 on, where the model knows classes instead of words.
    #[serde(default)]
    pub class: Option<usize>,
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
    /// Frames of a video.
    #[serde(default)]
    pub frames: Option<usize>,
    /// Frames of a video that are shown in a second, above 0, at most [`MAX_FPS`].
    #[serde(default)]
    pub fps: Option<f64>,
    /// Whether the end of a video leads back to its beginning.
    #[serde(default, rename = "loop")]
    pub is_loop: bool,
    /// What a video shows later, in the order of time.
    #[serde(default)]
    pub transitions: Vec<Transition>,
    /// Views around an object.
    #[serde(default)]
    pub views: Option<usize>,
    /// Seconds of sound.
    #[serde(default)]
    pub seconds: Option<f64>,
}

/// A change to another prompt in the course of a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// The last frame that the prompt before describes alone.
    pub from: usize,
    /// The first frame that the new prompt describes alone; in between both do, the one less and less.
    pub to: usize,
    /// What is shown from then on.
    pub prompt: String,
}

impl Request {
    /// What the model makes of a prompt where nothing else is said.
    pub fn new(kind: Kind, prompt: impl Into<String>) -> Self {
        Self {
            kind,
            prompt: prompt.into(),
            class: None,
            negative_prompt: String::new(),
            width: None,
            height: None,
            steps: None,
            guidance: None,
            solver: None,
            time_shift: None,
            seed: 0,
            preview_every: 0,
            frames: None,
            fps: None,
            is_loop: false,
            transitions: Vec::new(),
            views: None,
            seconds: None,
        }
    }

    /// A picture of `width` × `height` pixels.
    pub fn image(prompt: impl Into<String>, width: usize, height: usize) -> Self {
        Self { width: Some(width), height: Some(height), ..Self::new(Kind::Image, prompt) }
    }

    /// What a model of classes makes of one of them where nothing else is said.
    pub fn of_class(kind: Kind, class: usize) -> Self {
        Self { class: Some(class), ..Self::new(kind, "") }
    }

    /// A video of so many frames.
    pub fn video(prompt: impl Into<String>, frames: usize) -> Self {
        Self { frames: Some(frames), ..Self::new(Kind::Video, prompt) }
    }

    /// So many views around an object.
    pub fn views(prompt: impl Into<String>, views: usize) -> Self {
        Self { views: Some(views), ..Self::new(Kind::Views, prompt) }
    }

    /// So many seconds of sound.
    pub fn audio(prompt: impl Into<String>, seconds: f64) -> Self {
        Self { seconds: Some(seconds), ..Self::new(Kind::Audio, prompt) }
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
        self.check_subject()?;
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
        match self.fps {
            Some(fps) if !(fps > 0.0 && fps <= f64::from(MAX_FPS)) => {
                return Err(Error::bad_request("fps")
                    .expected(format!("above 0, at most {MAX_FPS}"))
                    .found(fps.to_string()));
            }
            _ => {}
        }
        self.check_kind()?;
        self.check_transitions()
    }

    /// Refuses what says nothing, and words beside a class: a model knows the one or the other.
    fn check_subject(&self) -> Result<()> {
        let words = [
            ("prompt", !self.prompt.trim().is_empty()),
            ("negative prompt", !self.negative_prompt.is_empty()),
            ("transitions", !self.transitions.is_empty()),
        ];
        match (self.class, words.into_iter().find(|(_, is_there)| *is_there)) {
            (None, _) if self.prompt.trim().is_empty() => {
                Err(Error::bad_request("prompt").expected("a text that says what to make, or a class").found("nothing"))
            }
            (Some(class), Some((field, _))) => Err(Error::bad_request(field)
                .found(format!("a request of class {class}, which has no {field}"))
                .remedy("leave the one or the other out: a model knows classes or words")),
            _ => Ok(()),
        }
    }

    /// Refuses what belongs to another kind.
    fn check_kind(&self) -> Result<()> {
        let kind = self.kind;
        let fields = [
            ("width", self.width.is_some(), kind != Kind::Audio),
            ("height", self.height.is_some(), kind != Kind::Audio),
            ("frames", self.frames.is_some(), kind == Kind::Video),
            ("fps", self.fps.is_some(), kind == Kind::Video),
            ("loop", self.is_loop, kind == Kind::Video),
            ("transitions", !self.transitions.is_empty(), kind == Kind::Video),
            ("views", self.views.is_some(), kind == Kind::Views),
            ("seconds", self.seconds.is_some(), kind == Kind::Audio),
        ];
        match fields.into_iter().find(|(_, is_there, fits)| *is_there && !fits) {
            Some((field, ..)) => Err(Error::bad_request(field)
                .found(format!("a request of kind {}, which has no {field}", kind.name()))
                .remedy("leave it out, or ask for another kind")),
            None => Ok(()),
        }
    }

    fn check_transitions(&self) -> Result<()> {
        let mut free = 0;
        for Transition { from, to, prompt } in &self.transitions {
            let subject = || Error::bad_request(format!("transition {from}-{to}"));
            if prompt.trim().is_empty() {
                return Err(subject().expected("a prompt to change to").found("nothing"));
            }
            if to <= from {
                return Err(subject().expected("a later frame at its end than at its beginning"));
            }
            if *from < free {
                return Err(subject()
                    .expected(format!("frames from {free} on"))
                    .found("frames of the one before")
                    .remedy("transitions stand in the order of time and do not overlap"));
            }
            free = *to;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
