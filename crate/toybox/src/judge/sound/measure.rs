//! From samples to named attributes.

use serde::Serialize;

use super::frames::frames;
use super::loudness::{Loudness, median};
use super::pattern::pattern;
use super::timbre::Features;

/// What separates low from middle and middle from high, in hertz.
const LOW_BELOW: f32 = 300.0;
const HIGH_FROM: f32 = 840.0;

/// What is heard.
#[derive(Clone, Debug, Serialize)]
pub struct SoundMeasurement {
    pub timbre: &'static str,
    pub pitch: &'static str,
    pub pattern: &'static str,
    /// The median of the pitch, in hertz.
    pub frequency: f32,
    /// Stretches of sound with silence between.
    pub pieces: usize,
    pub features: Features,
}

/// Measures a sound; nothing, if there is none.
pub fn measure(samples: &[f32], sample_rate: u32) -> Option<SoundMeasurement> {
    let loudness = Loudness::new(samples, sample_rate)?;
    let frames = frames(samples, sample_rate, &loudness);
    if frames.is_empty() {
        return None;
    }
    let frequency = median(&mut frames.iter().map(|frame| frame.pitch).collect::<Vec<_>>());
    let features = Features::new(&frames, &loudness);
    let pitch = match frequency {
        ..LOW_BELOW => "low",
        LOW_BELOW..HIGH_FROM => "middle",
        _ => "high",
    };
    Some(SoundMeasurement {
        timbre: features.name(),
        pitch,
        pattern: pattern(&frames, &loudness),
        frequency,
        pieces: loudness.segments.len(),
        features,
    })
}
