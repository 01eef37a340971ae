//! Waveform → log-mel spectrogram, the picture of a sound that the denoiser learns:
//!
//! `mel = (ln(max(floor, filters · |STFT|)) − mean) / std`
//!
//! Slaney's scale and area normalisation, as librosa computes them (`librosa.filters.mel`, `htk=False`,
//! `norm="slaney"`). The way back is in `griffin_lim.rs`.

use std::f32::consts::TAU;
use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How sounds become pictures and pictures sounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConfig {
    /// Samples in a second.
    pub sample_rate: u32,
    /// Samples under the Hann window.
    pub window: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Mel bands, from 0 Hz to half the sample rate.
    pub bands: usize,
    /// Magnitudes below this count as this.
    pub floor: f32,
    /// Mean of the logarithms over the sounds that were trained on.
    pub mean: f32,
    /// Their standard deviation.
    pub std: f32,
    /// Griffin-Lim iterations on the way back.
    pub iterations: usize,
}

impl MelConfig {
    /// Refuses what cannot be computed, before anything is allocated for it.
    ///
    /// # Errors
    ///
    /// `bad-model` that names the field.
    pub fn check(&self) -> Result<()> {
        let bounded = [
            ("sample_rate", self.sample_rate as usize, 1_000..=192_000),
            ("window", self.window, 16..=16_384),
            ("hop", self.hop, 1..=self.window / 2),
            ("bands", self.bands, 1..=512.min(self.window / 2)),
            ("iterations", self.iterations, 1..=1_000),
        ];
        for (name, value, bounds) in bounded {
            if !bounds.contains(&value) {
                return Err(field(name)
                    .expected(format!("{} to {}", bounds.start(), bounds.end()))
                    .found(value.to_string()));
            }
        }
        if !self.window.is_multiple_of(2) {
            return Err(field("window").expected("an even number").found(self.window.to_string()));
        }
        let in_range =
            [("floor", self.floor, 1e-12, 1.0), ("mean", self.mean, -100.0, 100.0), ("std", self.std, 1e-3, 1e3)];
        for (name, value, least, most) in in_range {
            // Not a number is in no range.
            if !(least..=most).contains(&value) {
                return Err(field(name).expected(format!("{least} to {most}")).found(value.to_string()));
            }
        }
        Ok(())
    }
}

fn field(name: &str) -> Error {
    Error::bad_model(format!("mel configuration, {name}"))
}

/// The analysis.
pub struct MelSpectrogram {
    config: MelConfig,
    filters: MelFilters,
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
}

impl MelSpectrogram {
    /// Prepares the window, the filters and the transform.
    ///
    /// # Errors
    ///
    /// Those of [`MelConfig::check`].
    pub fn new(config: &MelConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config: config.clone(),
            filters: MelFilters::new(config),
            window: hann(config.window),
            fft: RealFftPlanner::new().plan_fft_forward(config.window),
        })
    }

    /// The frames that `analyse` makes of so many samples.
    pub fn frames(&self, samples: usize, multiple: usize) -> usize {
        samples.div_ceil(self.config.hop).next_multiple_of(multiple.max(1))
    }

    /// The normalised log-mel spectrogram, band after band from the lowest, each of as many frames as cover the samples,
    /// rounded up to a `multiple`. Frame i is centred at sample i · hop; silence follows the end, and what reaches over
    /// either end is reflected.
    ///
    /// # Shapes
    /// - output: `[bands, frames]`
    pub fn analyse(&self, samples: &[f32], multiple: usize) -> Vec<f32> {
        let MelConfig { window, hop, bands, floor, mean, std, .. } = self.config;
        let frames = self.frames(samples.len(), multiple);
        let mut mel = vec![0.0; bands * frames];
        let mut windowed = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut magnitudes = vec![0.0; spectrum.len()];
        for frame in 0..frames {
            for (i, value) in windowed.iter_mut().enumerate() {
                let place = reflect((frame * hop + i) as isize - (window / 2) as isize, frames * hop);
                *value = samples.get(place).map_or(0.0, |sample| sample * self.window[i]);
            }
            self.fft
                .process_with_scratch(&mut windowed, &mut spectrum, &mut scratch)
                .expect("the buffers are the transform's own");
            magnitudes
                .iter_mut()
                .zip(&spectrum)
                .for_each(|(magnitude, value): (&mut f32, &Complex32)| *magnitude = value.norm());
            for band in 0..bands {
                let value = self.filters.apply(band, &magnitudes).max(floor).ln();
                mel[band * frames + frame] = (value - mean) / std;
            }
        }
        mel
    }
}

/// The place within `0..length` where a mirror at either end shows `place`.
fn reflect(place: isize, length: usize) -> usize {
    let last = length.saturating_sub(1).max(1);
    let folded = place.unsigned_abs() % (2 * last);
    if folded > last { 2 * last - folded } else { folded }
}

/// The periodic Hann window.
pub(super) fn hann(length: usize) -> Vec<f32> {
    (0..length).map(|i| 0.5 - 0.5 * (TAU * i as f32 / length as f32).cos()).collect()
}

/// Triangles on the mel scale, each of the same area.
pub(super) struct MelFilters {
    /// For each band the first bin and the weights from there on.
    triangles: Vec<(usize, Vec<f32>)>,
}

impl MelFilters {
    pub(super) fn new(config: &MelConfig) -> Self {
        let nyquist = f64::from(config.sample_rate) / 2.0;
        let bins = config.window / 2 + 1;
        let bin_hz = |bin: usize| nyquist * bin as f64 / (bins - 1) as f64;
        let edge = |i: usize| hz_from_mel(mel_from_hz(nyquist) * i as f64 / (config.bands + 1) as f64);
        let triangle = |band: usize| {
            let [low, middle, high] = [edge(band), edge(band + 1), edge(band + 2)];
            let weight = |bin: usize| {
                let hz = bin_hz(bin);
                let height = ((hz - low) / (middle - low)).min((high - hz) / (high - middle)).max(0.0);
                (height * 2.0 / (high - low)) as f32
            };
            let first = (0..bins).find(|&bin| bin_hz(bin) > low).unwrap_or(0);
            (first, (first..bins).map(weight).take_while(|&weight| weight > 0.0).collect())
        };
        Self { triangles: (0..config.bands).map(triangle).collect() }
    }

    /// How many there are.
    pub(super) fn bands(&self) -> usize {
        self.triangles.len()
    }

    /// The bins of a band, and their weights.
    pub(super) fn band(&self, band: usize) -> (Range<usize>, &[f32]) {
        let (first, weights) = &self.triangles[band];
        (*first..first + weights.len(), weights)
    }

    /// What a band makes of the magnitudes of all bins.
    pub(super) fn apply(&self, band: usize, magnitudes: &[f32]) -> f32 {
        let (bins, weights) = self.band(band);
        magnitudes[bins].iter().zip(weights).map(|(magnitude, weight)| magnitude * weight).sum()
    }
}

/// Slaney's scale: linear up to 1000 Hz, logarithmic above.
const LINEAR_HZ: f64 = 200.0 / 3.0;
const BREAK_HZ: f64 = 1000.0;
/// The logarithm of 6.4, over 27 steps.
const LOG_STEP: f64 = 1.856_297_990_365_626_3 / 27.0;

fn mel_from_hz(hz: f64) -> f64 {
    if hz < BREAK_HZ { hz / LINEAR_HZ } else { BREAK_HZ / LINEAR_HZ + (hz / BREAK_HZ).ln() / LOG_STEP }
}

fn hz_from_mel(mel: f64) -> f64 {
    let break_mel = BREAK_HZ / LINEAR_HZ;
    if mel < break_mel { mel * LINEAR_HZ } else { BREAK_HZ * ((mel - break_mel) * LOG_STEP).exp() }
}

#[cfg(test)]
mod tests;
