//! From spectra and loudness to the name of a timbre.

use serde::Serialize;

use super::frames::Frame;
use super::loudness::{Loudness, quantile};

/// Beside its peak a band of noise has more than this part of its power, in all but so many moments. Changes of pitch
/// leave some power beside the peak too, but not for long.
const NOISY: f32 = 0.085;
const AT_REST: f32 = 0.25;
/// A drum dies away by more than this, in decibels a second.
const DRUM_FALL: f32 = 42.0;
/// A partial is there if it is above this, in decibels below the first.
const PRESENT: f32 = -24.0;
/// Where the second harmonic, and the third or what a bell has near it, are looked for.
const SECOND: f32 = 2.0;
const AROUND_THIRD: (f32, f32) = (2.35, 3.5);
/// Between a bell's second partial, 2.76, and the third harmonic.
const HARMONIC: f32 = 2.88;

/// What tells timbres apart: medians over all moments, but for the first two.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Features {
    /// The part of the power around the pitch that lies beside it, at rest.
    pub beside: f32,
    /// In decibels a second.
    pub fall: f32,
    /// The second harmonic, in decibels below the first.
    pub second: f32,
    /// The partial near the third harmonic, in decibels below the first, and as a multiple of the pitch.
    pub third: f32,
    pub third_ratio: f32,
}

impl Features {
    pub(super) fn new(frames: &[Frame], loudness: &Loudness) -> Self {
        let at = |part: f32, of: &dyn Fn(&Frame) -> f32| quantile(&mut frames.iter().map(of).collect::<Vec<_>>(), part);
        let over = |of: &dyn Fn(&Frame) -> f32| at(0.5, of);
        let below_first = |frame: &Frame, power: f32| {
            10.0 * (power / frame.partial(frame.pitch).max(f32::MIN_POSITIVE)).max(1e-12).log10()
        };
        let third = |frame: &Frame| frame.strongest_partial(AROUND_THIRD.0, AROUND_THIRD.1).unwrap_or_default();
        Self {
            beside: at(AT_REST, &Frame::beside),
            fall: loudness.fall(),
            second: over(&|frame| below_first(frame, frame.partial(SECOND * frame.pitch))),
            third: over(&|frame| below_first(frame, third(frame).1)),
            third_ratio: over(&|frame| third(frame).0),
        }
    }

    /// The timbre's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            _ if self.beside > NOISY => "noise",
            _ if self.fall > DRUM_FALL => "drum",
            _ if self.second > PRESENT => "pluck",
            _ if self.third < PRESENT => "sine",
            _ if self.third_ratio < HARMONIC => "bell",
            _ => "square",
        }
    }
}
