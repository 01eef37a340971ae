//! Where in time something is heard, and how its loudness falls.

use std::ops::Range;

/// Seconds of a block, within which loudness is one number.
pub(super) const BLOCK: f32 = 0.01;
/// Below the loudest block by so many decibels, nothing is heard.
const AUDIBLE: f32 = -26.0;
/// Fewer silent blocks than this are part of what goes on around them.
const SHORTEST_GAP: usize = 3;
/// Fewer audible blocks than this are not heard as something of their own.
const SHORTEST_SEGMENT: usize = 4;
/// Over so many blocks a fall is measured.
const FALL: usize = 5;
const FALLS_LESS: f32 = 0.6;
/// A sound whose loudest block is not above this is silence.
const SILENCE: f32 = 0.003;

/// The loudness of a sound, block by block.
pub(super) struct Loudness {
    /// In decibels below the loudest.
    decibels: Vec<f32>,
    /// Stretches of sound with silence between, in blocks.
    pub segments: Vec<Range<usize>>,
}

impl Loudness {
    /// Nothing, if there is only silence, or no sound at all.
    pub fn new(samples: &[f32], sample_rate: u32) -> Option<Self> {
        let block = ((sample_rate as f32 * BLOCK) as usize).max(1);
        let mean_square = |block: &[f32]| block.iter().map(|sample| sample * sample).sum::<f32>() / block.len() as f32;
        let power: Vec<_> = samples.chunks_exact(block).map(mean_square).collect();
        let loudest = power.iter().copied().fold(0.0f32, f32::max);
        if !(loudest.is_finite() && loudest.sqrt() > SILENCE) {
            return None;
        }
        let decibels: Vec<_> = power.iter().map(|power| 10.0 * (power / loudest).max(1e-12).log10()).collect();
        let segments = segments(&decibels);
        (!segments.is_empty()).then_some(Self { decibels, segments })
    }

    /// Whether something is heard at a moment.
    pub fn audible(&self, seconds: f32) -> bool {
        let block = (seconds / BLOCK) as usize;
        self.segments.iter().any(|segment| segment.contains(&block))
    }

    /// Decibels a second by which the sound falls while it lasts: three fifths of all moments fall less. What is struck
    /// falls more often than it rises, and a stroke is one moment of many.
    pub fn fall(&self) -> f32 {
        let within = self.segments.iter().flat_map(|segment| segment.start..segment.end.saturating_sub(FALL + 1));
        let mut falls: Vec<_> = within.map(|i| self.decibels[i] - self.decibels[i + FALL]).collect();
        if falls.is_empty() { 0.0 } else { quantile(&mut falls, FALLS_LESS) / (FALL as f32 * BLOCK) }
    }
}

fn segments(decibels: &[f32]) -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    for (i, _) in decibels.iter().enumerate().filter(|(_, level)| **level > AUDIBLE) {
        match segments.last_mut() {
            Some(last) if i - last.end < SHORTEST_GAP => last.end = i + 1,
            _ => segments.push(i..i + 1),
        }
    }
    segments.retain(|segment| segment.len() >= SHORTEST_SEGMENT);
    segments
}

/// The value that such a part of all lie below; sorts on the way.
pub(super) fn quantile(values: &mut [f32], part: f32) -> f32 {
    values.sort_by(f32::total_cmp);
    values[(part * (values.len() - 1) as f32) as usize]
}

/// The middle one.
pub(super) fn median(values: &mut [f32]) -> f32 {
    quantile(values, 0.5)
}
