//! Compares what was heard with what was asked for.

use serde::Serialize;

use super::{SoundExpectation, SoundMeasurement};

/// Which of the three attributes came out right.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SoundVerdict {
    pub timbre: bool,
    pub pitch: bool,
    pub pattern: bool,
}

/// Judges one sound. Of silence, nothing is right.
pub fn score(measurement: Option<&SoundMeasurement>, expectation: &SoundExpectation) -> SoundVerdict {
    let right = |of: fn(&SoundMeasurement) -> &'static str, expected: &str| {
        measurement.is_some_and(|measurement| of(measurement) == expected)
    };
    SoundVerdict {
        timbre: right(|heard| heard.timbre, &expectation.timbre),
        pitch: right(|heard| heard.pitch, &expectation.pitch),
        pattern: right(|heard| heard.pattern, &expectation.pattern),
    }
}
