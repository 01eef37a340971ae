//! From a track of pitches to the name of a pattern.

use std::f32::consts::TAU;

use super::frames::Frame;
use super::loudness::{Loudness, median};

/// From how many pieces on a sound that rises is a scale.
const SCALE_PIECES: usize = 5;
/// A pitch that moves less than this from the first moment to the last, in octaves, stands.
const MOVES: f32 = 0.45;
/// A pitch that swings by less than this to either side, in octaves, does not trill.
const SWINGS: f32 = 0.12;
/// There and back so many times a second.
const SLOWEST_TRILL: f32 = 2.8;
const FASTEST_TRILL: f32 = 4.2;
const TRILL_STEP: f32 = 0.05;
/// Frames to either side that the pitch of a frame is smoothed over: shorter than a note of a trill.
const NEIGHBOURS: usize = 4;

/// The pattern's name.
pub(super) fn pattern(frames: &[Frame], loudness: &Loudness) -> &'static str {
    let pieces = loudness.segments.len();
    let track = settled(frames);
    let (rise, flat) = without_trend(&track);
    match pieces {
        3 => "three beeps",
        SCALE_PIECES.. if rise > MOVES => "scale",
        _ if rise > MOVES => "rising",
        _ if rise < -MOVES => "falling",
        _ if swing(&flat) > SWINGS => "trill",
        _ => "steady",
    }
}

/// Times and pitches, in octaves. Medians of neighbours leave out how a drum comes down to its pitch.
fn settled(frames: &[Frame]) -> Vec<(f32, f32)> {
    let settled = |(i, frame): (usize, &Frame)| {
        let neighbours = &frames[i.saturating_sub(NEIGHBOURS)..(i + NEIGHBOURS + 1).min(frames.len())];
        (frame.time, median(&mut neighbours.iter().map(|frame| frame.pitch.log2()).collect::<Vec<_>>()))
    };
    frames.iter().enumerate().map(settled).collect()
}

/// How far a straight line through the track rises, and the track without that line.
fn without_trend(track: &[(f32, f32)]) -> (f32, Vec<(f32, f32)>) {
    let mean = |of: &dyn Fn(&(f32, f32)) -> f32| track.iter().map(of).sum::<f32>() / track.len() as f32;
    let (time, pitch) = (mean(&|point| point.0), mean(&|point| point.1));
    let variance = mean(&|point| (point.0 - time).powi(2)).max(f32::MIN_POSITIVE);
    let slope = mean(&|point| (point.0 - time) * (point.1 - pitch)) / variance;
    let length = track[track.len() - 1].0 - track[0].0;
    (slope * length, track.iter().map(|point| (point.0, point.1 - pitch - slope * (point.0 - time))).collect())
}

/// The amplitude of the strongest sine among all that may be a trill.
fn swing(track: &[(f32, f32)]) -> f32 {
    let amplitude = |rate: f32| {
        let (mut re, mut im) = (0.0, 0.0);
        for (time, pitch) in track {
            let (sin, cos) = (TAU * rate * time).sin_cos();
            (re, im) = (re + pitch * cos, im + pitch * sin);
        }
        2.0 * re.hypot(im) / track.len() as f32
    };
    let count = ((FASTEST_TRILL - SLOWEST_TRILL) / TRILL_STEP) as usize;
    (0..=count).map(|i| amplitude(SLOWEST_TRILL + i as f32 * TRILL_STEP)).fold(0.0, f32::max)
}
