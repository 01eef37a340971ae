//! Timbres: how a note sounds.

use std::f32::consts::{LN_2, TAU};

use super::{Rng, Sound, Timbre, notes::Note};

/// One sine of a timbre.
struct Partial {
    /// Of the note's frequency.
    ratio: f32,
    amplitude: f32,
    /// Seconds in which it falls to 1/e; without end if absent.
    decay: Option<f32>,
}

/// Fading out, in seconds: short, but without a click. The next note fades in meanwhile.
const RELEASE: f32 = 0.012;
/// A drum begins this much higher, and comes down in so many seconds.
const DRUM_SWEEP: f32 = 0.6;
const DRUM_SWEEP_DECAY: f32 = 0.025;
/// The stick on the drum: loudness and length of a burst of white noise.
const STICK: f32 = 0.5;
const STICK_DECAY: f32 = 0.012;
/// Half the width of the band of noise, as a fraction of its middle; and what it is at least, in hertz.
const NOISE_WIDTH: f32 = 0.25;
const NOISE_WIDTH_LEAST: f32 = 80.0;

impl Sound {
    /// Adds a note to the samples.
    pub(super) fn play(&self, note: &Note, sample_rate: f32, rng: &mut Rng, samples: &mut [f32]) {
        let partials = self.partials(note, sample_rate);
        let mut noise = BandNoise::default();
        let first = (note.start * sample_rate).ceil() as usize;
        let last = ((note.end + RELEASE) * sample_rate) as usize;
        let mut cycles = 0.0f64;
        for i in first..last.min(samples.len()) {
            let t = i as f32 / sample_rate - note.start;
            let frequency = self.frequency(note, t);
            cycles += f64::from(frequency / sample_rate);
            let value = match self.timbre {
                Timbre::Noise => noise.next(frequency, cycles, sample_rate, rng),
                Timbre::Drum => tone(&partials, t, cycles) + STICK * (-t / STICK_DECAY).exp() * white(rng),
                _ => tone(&partials, t, cycles),
            };
            let release = (note.end + RELEASE - note.start - t) / RELEASE;
            samples[i] += value * ramp(t / self.timbre.attack()) * ramp(release);
        }
    }

    /// In hertz, `t` seconds into a note.
    fn frequency(&self, note: &Note, t: f32) -> f32 {
        let done = (t / (note.end - note.start)).min(1.0);
        let semitones = note.from + (note.to - note.from) * done;
        let sweep = match self.timbre {
            Timbre::Drum => 1.0 + DRUM_SWEEP * (-t / DRUM_SWEEP_DECAY).exp(),
            _ => 1.0,
        };
        self.pitch.frequency() * self.detune * sweep * (semitones / 12.0 * LN_2).exp()
    }

    /// The sines of the timbre that stay below half the sample rate.
    fn partials(&self, note: &Note, sample_rate: f32) -> Vec<Partial> {
        let ringing =
            |&(ratio, amplitude, decay): &(f32, f32, f32)| Partial { ratio, amplitude, decay: Some(decay * self.ring) };
        let partials: Vec<_> = match self.timbre {
            Timbre::Noise => Vec::new(),
            Timbre::Sine => vec![Partial { ratio: 1.0, amplitude: 1.0, decay: None }],
            Timbre::Square => (0..)
                .map(|k| (2 * k + 1) as f32)
                .take(40)
                .map(|k| Partial { ratio: k, amplitude: 1.0 / k, decay: None })
                .collect(),
            // A string: every harmonic, the higher the sooner gone.
            Timbre::Pluck => (1..=16).map(|k| k as f32).map(|k| ringing(&(k, k.powf(-0.8), 0.6 / k))).collect(),
            // A bar that is free at both ends (Fletcher and Rossing, The Physics of Musical Instruments, §2.15).
            Timbre::Bell => [(1.0, 1.0, 1.2), (2.756, 0.6, 0.7), (5.404, 0.4, 0.45), (8.933, 0.25, 0.3)]
                .iter()
                .map(ringing)
                .collect(),
            // The first modes of a round membrane.
            Timbre::Drum => [(1.0, 1.0, 0.14), (1.594, 0.4, 0.07), (2.136, 0.25, 0.05)].iter().map(ringing).collect(),
        };
        let highest = self.frequency(note, 0.0).max(self.frequency(note, note.end - note.start));
        partials.into_iter().filter(|partial| partial.ratio * highest < 0.49 * sample_rate).collect()
    }
}

impl Timbre {
    /// Fading in, in seconds.
    fn attack(self) -> f32 {
        match self {
            Self::Sine | Self::Square | Self::Noise => RELEASE,
            Self::Pluck | Self::Bell | Self::Drum => 0.003,
        }
    }
}

/// The sum of the partials `t` seconds into a note, after so many cycles of its frequency.
fn tone(partials: &[Partial], t: f32, cycles: f64) -> f32 {
    let partial = |partial: &Partial| {
        let phase = (f64::from(partial.ratio) * cycles).fract() as f32;
        let envelope = partial.decay.map_or(1.0, |decay| (-t / decay).exp());
        partial.amplitude * envelope * (TAU * phase).sin()
    };
    partials.iter().map(partial).sum()
}

/// From 0 to 1 along half a cosine.
fn ramp(x: f32) -> f32 {
    0.5 - 0.5 * (x.clamp(0.0, 1.0) * TAU / 2.0).cos()
}

/// Uniform from −1 to 1.
fn white(rng: &mut Rng) -> f32 {
    rng.range(-1.0, 1.0)
}

/// Noise around a frequency: a carrier whose two quadratures are low-passed white noise.
#[derive(Default)]
struct BandNoise {
    /// The two poles of the low-pass, for each quadrature.
    state: [[f32; 2]; 2],
}

impl BandNoise {
    fn next(&mut self, frequency: f32, cycles: f64, sample_rate: f32, rng: &mut Rng) -> f32 {
        let width = (NOISE_WIDTH * frequency).max(NOISE_WIDTH_LEAST);
        let pole = 1.0 - (-TAU * width / sample_rate).exp();
        let quadratures = self.state.each_mut().map(|[first, second]| {
            *first += pole * (white(rng) - *first);
            *second += pole * (*first - *second);
            *second
        });
        let (sin, cos) = (TAU * cycles.fract() as f32).sin_cos();
        // The narrower the band, the less of the white noise is left.
        (quadratures[0] * cos - quadratures[1] * sin) / pole.sqrt()
    }
}
