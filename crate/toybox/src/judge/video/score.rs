//! Compares what was measured with what was asked for.

use serde::Serialize;

use super::{VideoExpectation, VideoMeasurement};

/// Which of the attributes that the caption asks for came out right; what it leaves open is absent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Verdict {
    pub colour: Option<bool>,
    pub shape: Option<bool>,
    /// All that was asked for and nothing else.
    pub motion: Option<bool>,
    pub direction: Option<bool>,
    pub background: Option<bool>,
}

/// Judges one clip.
pub fn score(measurement: &VideoMeasurement, expectation: &VideoExpectation) -> Verdict {
    let is_wanted = |motion: &&str| expectation.motions.iter().any(|wanted| wanted == motion);
    let all_wanted = measurement.motions.iter().all(is_wanted);
    Verdict {
        colour: Some(expectation.colour == measurement.colour),
        shape: Some(expectation.shape == measurement.shape),
        motion: Some(all_wanted && measurement.motions.len() == expectation.motions.len()),
        direction: expectation.direction.as_deref().map(|direction| measurement.direction == Some(direction)),
        background: expectation.background.as_ref().map(|background| background == measurement.background),
    }
}
