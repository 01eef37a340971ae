//! Patterns, written down as notes.

use super::{Pattern, Sound, Timbre};

/// A stretch of sound whose pitch moves evenly, on the scale of the ear, from one interval to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    /// In seconds.
    pub start: f32,
    pub end: f32,
    /// In semitones above the sound's pitch.
    pub from: f32,
    pub to: f32,
}

/// Silence after the last note, in seconds.
const TAIL: f32 = 0.06;
/// Half of what rising, falling and scales span.
const HALF_OCTAVE: f32 = 6.0;
/// Half of what a trill spans.
const HALF_FIFTH: f32 = 3.5;
/// A major scale, in semitones.
const SCALE: [f32; 8] = [0.0, 2.0, 4.0, 5.0, 7.0, 9.0, 11.0, 12.0];
/// How much of its time a note of a scale, and each of three beeps, is heard. A window of the analysis (64 ms) must fit
/// into the silences of a scale of two seconds.
const SCALE_HEARD: f32 = 0.6;
const BEEP_HEARD: f32 = 0.45;

impl Sound {
    /// Its notes, in their order.
    pub(super) fn notes(&self, seconds: f32) -> Vec<Note> {
        let (start, end) = (self.onset, (seconds - TAIL).max(self.onset));
        let length = end - start;
        // `count` notes of equal length, the `i`th of which is heard for a part of it.
        let row = |count: usize, heard: f32, pitch: &dyn Fn(f32) -> (f32, f32)| -> Vec<Note> {
            let slot = length / count as f32;
            let note = |i: usize| {
                let (from, to) = pitch(i as f32);
                let start = start + i as f32 * slot;
                Note { start, end: start + heard * slot, from, to }
            };
            (0..count).map(note).collect()
        };
        let strokes = self.timbre.strokes(length);
        let glide = |from: f32, to: f32| {
            let at = move |i: f32| from + (to - from) * i / strokes as f32;
            row(strokes, 1.0, &move |i| (at(i), at(i + 1.0)))
        };
        match self.pattern {
            Pattern::Steady => glide(0.0, 0.0),
            Pattern::Rising => glide(-HALF_OCTAVE, HALF_OCTAVE),
            Pattern::Falling => glide(HALF_OCTAVE, -HALF_OCTAVE),
            Pattern::Trill => {
                let count = (length * self.trill_rate).round().max(2.0) as usize;
                let turn = |i: f32| if i % 2.0 == 0.0 { -HALF_FIFTH } else { HALF_FIFTH };
                row(count, 1.0, &|i| (turn(i), turn(i)))
            }
            Pattern::ThreeBeeps => row(3, BEEP_HEARD, &|_| (0.0, 0.0)),
            Pattern::Scale => {
                let step = |i: f32| SCALE[i as usize] - HALF_OCTAVE;
                row(SCALE.len(), SCALE_HEARD, &|i| (step(i), step(i)))
            }
        }
    }
}

impl Timbre {
    /// How often what is struck is struck in a sound without silences: before it has died away. One stroke is enough for
    /// what goes on by itself.
    fn strokes(self, seconds: f32) -> usize {
        let rate = match self {
            Self::Sine | Self::Square | Self::Noise => return 1,
            Self::Bell => 2.5,
            Self::Pluck => 4.0,
            Self::Drum => 5.0,
        };
        (seconds * rate).round().max(1.0) as usize
    }
}
