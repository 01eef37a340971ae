//! Sounds: a timbre at a pitch in a pattern, all from a seed.
//!
//! [`sample`] is the one entry for training: it never yields a combination that [`held_out`] keeps for the judge.
//!
//! A pitch names the middle of what is heard, on the scale of the ear: a rising sound begins half an octave below it
//! and ends half an octave above, a scale spans the same octave, and a trill alternates around it by a fifth. So low,
//! middle and high never meet, at no moment of any sound.

pub mod captions;
pub mod held_out;
mod notes;
#[cfg(test)]
mod tests;
mod voice;

use super::Rng;

pub use captions::corpus;

/// What a sound is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timbre {
    Sine,
    Square,
    Pluck,
    Bell,
    Drum,
    Noise,
}

impl Timbre {
    pub const ALL: [Self; 6] = [Self::Sine, Self::Square, Self::Pluck, Self::Bell, Self::Drum, Self::Noise];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sine => "sine",
            Self::Square => "square",
            Self::Pluck => "pluck",
            Self::Bell => "bell",
            Self::Drum => "drum",
            Self::Noise => "noise",
        }
    }
}

/// How high the middle of a sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pitch {
    Low,
    Middle,
    High,
}

impl Pitch {
    pub const ALL: [Self; 3] = [Self::Low, Self::Middle, Self::High];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Middle => "middle",
            Self::High => "high",
        }
    }

    /// In hertz.
    fn frequency(self) -> f32 {
        match self {
            Self::Low => 180.0,
            Self::Middle => 500.0,
            Self::High => 1400.0,
        }
    }
}

/// What happens in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One pitch; what is struck is struck again and again.
    Steady,
    /// Glides up by an octave.
    Rising,
    /// Glides down by an octave.
    Falling,
    /// Two pitches in fast turns.
    Trill,
    /// Three times, with silence between.
    ThreeBeeps,
    /// The eight notes of a major scale upwards, with short silences between.
    Scale,
}

impl Pattern {
    pub const ALL: [Self; 6] = [Self::Steady, Self::Rising, Self::Falling, Self::Trill, Self::ThreeBeeps, Self::Scale];

    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::Trill => "trill",
            Self::ThreeBeeps => "three beeps",
            Self::Scale => "scale",
        }
    }
}

/// What is heard, before it has a length and a sample rate.
#[derive(Clone, Debug)]
pub struct Sound {
    pub timbre: Timbre,
    pub pitch: Pitch,
    pub pattern: Pattern,
    /// Of the pitch's frequency, about 1.
    detune: f32,
    /// Silence before the first note, in seconds.
    onset: f32,
    /// Notes of a trill in a second.
    trill_rate: f32,
    /// Of the time that what is struck rings, about 1.
    ring: f32,
    /// Of the noise in it.
    seed: u64,
}

/// A sound and one of the captions that are true of it.
pub struct SoundSample {
    pub caption: String,
    pub sound: Sound,
}

/// Draws a training sample. Held-out combinations never come up.
pub fn sample(rng: &mut Rng) -> SoundSample {
    let (timbre, pitch, pattern) = held_out::combination(rng, false);
    let sound = Sound::new(rng, timbre, pitch, pattern);
    SoundSample { caption: captions::write(&sound, rng), sound }
}

/// The largest sample of every sound. Sounds that are made again with other phases peak elsewhere and need the room.
const PEAK: f32 = 0.6;

impl Sound {
    /// One of the sounds that these three words fit.
    pub fn new(rng: &mut Rng, timbre: Timbre, pitch: Pitch, pattern: Pattern) -> Self {
        Self {
            timbre,
            pitch,
            pattern,
            detune: rng.range(0.94, 1.06),
            onset: rng.range(0.03, 0.08),
            trill_rate: rng.range(6.0, 8.0),
            ring: rng.range(0.85, 1.15),
            seed: rng.fork().next_u64(),
        }
    }

    /// Its samples, from −1 to 1.
    pub fn render(&self, seconds: f32, sample_rate: u32) -> Vec<f32> {
        let mut samples = vec![0.0; (seconds * sample_rate as f32).round() as usize];
        let mut rng = Rng::new(self.seed);
        for note in self.notes(seconds) {
            self.play(&note, sample_rate as f32, &mut rng, &mut samples);
        }
        let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        if peak > 0.0 {
            samples.iter_mut().for_each(|sample| *sample *= PEAK / peak);
        }
        samples
    }
}
