//! Log-mel spectrogram → waveform, in two steps:
//!
//! 1. magnitudes of all bins that the filters map to the mel bands, by the multiplicative updates of Lee and Seung
//!    (2001), which keep them from falling below zero;
//! 2. phases that fit the magnitudes, by Griffin and Lim (1984) with the momentum of Perraudin, Balazs and Søndergaard
//!    (2013): each iteration replaces the magnitudes of a waveform's transform and goes back.
//!
//! It begins with phases that turn as the magnitudes' peaks let expect (Beauregard, Harish and Wyse, "Single pass
//! spectrogram inversion", 2015), so the same picture gives the same sound.

use std::f32::consts::{PI, TAU};
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::mel::{MelConfig, MelFilters, hann};
use crate::error::{Error, Result};

/// How strongly an iteration is driven beyond its own result, as the paper recommends.
const MOMENTUM: f32 = 0.99;
/// After so many updates the bands differ by less than Griffin-Lim leaves unexplained.
const MAGNITUDE_UPDATES: usize = 60;
/// Keeps divisions by nothing at nothing. Far below what 16 bits resolve.
const TINY: f32 = 1e-9;
/// Samples that so little of the windows reaches are left as they are. They lie outside of the waveform or in its fades.
const LEAST_OVERLAP: f32 = 1e-2;

/// The synthesis.
pub struct GriffinLim {
    config: MelConfig,
    filters: MelFilters,
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl GriffinLim {
    /// Prepares the window, the filters and the transforms.
    ///
    /// # Errors
    ///
    /// Those of [`MelConfig::check`].
    pub fn new(config: &MelConfig) -> Result<Self> {
        config.check()?;
        let mut planner = RealFftPlanner::new();
        Ok(Self {
            config: config.clone(),
            filters: MelFilters::new(config),
            window: hann(config.window),
            forward: planner.plan_fft_forward(config.window),
            inverse: planner.plan_fft_inverse(config.window),
        })
    }

    /// The waveform of a spectrogram: `frames · hop` samples from −1 to 1.
    ///
    /// # Shapes
    /// - mel: `[bands, frames]`
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start).
    pub fn waveform(&self, mel: &[f32], frames: usize) -> Result<Vec<f32>> {
        let mut reconstruction = self.start(mel, frames)?;
        while reconstruction.step() {}
        Ok(reconstruction.finish())
    }

    /// The first guess, to be improved step by step: a caller may stop, or let others run, between the steps.
    ///
    /// # Errors
    ///
    /// `bad-request` if the spectrogram has another size, `bad-model` if it has values that are no finite numbers.
    pub fn start(&self, mel: &[f32], frames: usize) -> Result<Reconstruction<'_>> {
        if frames == 0 || mel.len() != self.filters.bands() * frames {
            return Err(Error::bad_request("spectrogram")
                .expected(format!("{} bands of {frames} frames, at least one", self.filters.bands()))
                .found(format!("{} values", mel.len())));
        }
        if let Some(place) = mel.iter().position(|value| !value.is_finite()) {
            let (band, frame) = (place / frames, place % frames);
            return Err(Error::bad_model("spectrogram")
                .expected("finite values")
                .found(format!("{} in band {band}, frame {frame}", mel[place])));
        }
        let magnitudes: Vec<_> = (0..frames).map(|frame| self.magnitudes(mel, frames, frame)).collect();
        let mut spectra = Vec::with_capacity(frames);
        let mut phases = vec![0.0; magnitudes[0].len()];
        for magnitudes in &magnitudes {
            self.advance(&mut phases, magnitudes);
            let value = |(&magnitude, &phase): (&f32, &f32)| Complex32::from_polar(magnitude, phase);
            spectra.push(magnitudes.iter().zip(&phases).map(value).collect());
        }
        Ok(Reconstruction {
            previous: vec![vec![Complex32::ZERO; phases.len()]; frames],
            samples: vec![0.0; (frames - 1) * self.config.hop + self.config.window],
            overlap: self.overlap(frames),
            remaining: self.config.iterations,
            griffin_lim: self,
            magnitudes,
            spectra,
        })
    }

    /// The magnitudes of the bins of one frame.
    fn magnitudes(&self, mel: &[f32], frames: usize, frame: usize) -> Vec<f32> {
        let MelConfig { window, floor, mean, std, .. } = self.config;
        // No band of samples up to 1 is louder than the sum of the window.
        let loudest = (window as f32).ln();
        let target = |band: usize| ((mel[band * frames + frame] * std + mean).min(loudest).exp() - floor).max(0.0);
        let targets: Vec<_> = (0..self.filters.bands()).map(target).collect();
        let bins = window / 2 + 1;
        let wanted = self.spread(&targets, bins);
        let weight = self.spread(&vec![1.0; targets.len()], bins);
        let mut magnitudes: Vec<f32> =
            wanted.iter().zip(&weight).map(|(wanted, weight)| wanted / (weight + TINY)).collect();
        // The start is off by the sum of each band's weights; the first update corrects that.
        for _ in 0..MAGNITUDE_UPDATES {
            let heard: Vec<_> = (0..targets.len()).map(|band| self.filters.apply(band, &magnitudes)).collect();
            let explained = self.spread(&heard, bins);
            for (magnitude, (wanted, explained)) in magnitudes.iter_mut().zip(wanted.iter().zip(&explained)) {
                *magnitude *= wanted / (explained + TINY);
            }
        }
        magnitudes
    }

    /// The filters transposed: every band's value on its bins.
    fn spread(&self, values: &[f32], bins: usize) -> Vec<f32> {
        let mut spread = vec![0.0; bins];
        for (band, value) in values.iter().enumerate() {
            let (places, weights) = self.filters.band(band);
            spread[places].iter_mut().zip(weights).for_each(|(bin, weight)| *bin += weight * value);
        }
        spread
    }

    /// Turns the phases by one hop: around each peak all bins turn with the frequency of its parabola's top, and their
    /// signs alternate, as those of a windowed sine do.
    fn advance(&self, phases: &mut [f32], magnitudes: &[f32]) {
        let bins = magnitudes.len();
        let turn = TAU * self.config.hop as f32 / self.config.window as f32;
        let peaks: Vec<_> = (1..bins - 1)
            .filter(|&k| magnitudes[k] > magnitudes[k - 1] && magnitudes[k] >= magnitudes[k + 1])
            .collect();
        for (i, &peak) in peaks.iter().enumerate() {
            let [left, top, right] = [magnitudes[peak - 1], magnitudes[peak], magnitudes[peak + 1]];
            let shift = 0.5 * (left - right) / (left - 2.0 * top + right).min(-TINY);
            let phase = (phases[peak] + turn * (peak as f32 + shift)).rem_euclid(TAU);
            let start = if i == 0 { 0 } else { (peaks[i - 1] + peak).div_ceil(2) };
            let end = peaks.get(i + 1).map_or(bins, |next| (peak + next).div_ceil(2));
            for (k, value) in phases.iter_mut().enumerate().take(end).skip(start) {
                *value = phase + PI * (k.abs_diff(peak) % 2) as f32;
            }
        }
    }

    /// What the squared windows of all frames add up to at each sample.
    fn overlap(&self, frames: usize) -> Vec<f32> {
        let mut overlap = vec![0.0; (frames - 1) * self.config.hop + self.config.window];
        for frame in 0..frames {
            let place = &mut overlap[frame * self.config.hop..][..self.config.window];
            place.iter_mut().zip(&self.window).for_each(|(sum, window)| *sum += window * window);
        }
        overlap
    }
}

/// A waveform on its way.
pub struct Reconstruction<'a> {
    griffin_lim: &'a GriffinLim,
    /// Frame by frame.
    magnitudes: Vec<Vec<f32>>,
    /// The magnitudes with their present phases.
    spectra: Vec<Vec<Complex32>>,
    /// The transform of the waveform one iteration before.
    previous: Vec<Vec<Complex32>>,
    /// The waveform, with half a window more at either end.
    samples: Vec<f32>,
    overlap: Vec<f32>,
    remaining: usize,
}

impl Reconstruction<'_> {
    /// Improves the phases once; nothing is left to do if it says no.
    pub fn step(&mut self) -> bool {
        if self.remaining == 0 {
            return false;
        }
        self.remaining -= 1;
        self.resynthesise();
        let GriffinLim { config, window, forward, .. } = self.griffin_lim;
        let mut windowed = forward.make_input_vec();
        let mut rebuilt = forward.make_output_vec();
        let mut scratch = forward.make_scratch_vec();
        for (frame, magnitudes) in self.magnitudes.iter().enumerate() {
            let samples = &self.samples[frame * config.hop..];
            windowed
                .iter_mut()
                .zip(samples.iter().zip(window))
                .for_each(|(value, (sample, window))| *value = sample * window);
            forward
                .process_with_scratch(&mut windowed, &mut rebuilt, &mut scratch)
                .expect("the buffers are the transform's own");
            let (spectrum, previous) = (&mut self.spectra[frame], &mut self.previous[frame]);
            for (bin, &magnitude) in magnitudes.iter().enumerate() {
                // In proportion to rebuilt + momentum · (rebuilt − previous).
                let driven = rebuilt[bin] - previous[bin] * (MOMENTUM / (1.0 + MOMENTUM));
                spectrum[bin] = driven * (magnitude / (driven.norm() + TINY));
                previous[bin] = rebuilt[bin];
            }
        }
        self.remaining > 0
    }

    /// The waveform so far.
    pub fn finish(mut self) -> Vec<f32> {
        self.resynthesise();
        let MelConfig { window, hop, .. } = self.griffin_lim.config;
        let length = self.magnitudes.len() * hop;
        let mut samples = self.samples[window / 2..][..length].to_vec();
        let peak = samples.iter().fold(1.0f32, |peak, sample| peak.max(sample.abs()));
        for (i, sample) in samples.iter_mut().enumerate() {
            // Half a hop at either end fades, so that no end clicks.
            let inside = (2 * i.min(length - 1 - i)) as f32 / hop as f32;
            *sample *= inside.min(1.0) / peak;
        }
        samples
    }

    /// The waveform whose transform is nearest to the spectra.
    fn resynthesise(&mut self) {
        let GriffinLim { config, window, inverse, .. } = self.griffin_lim;
        let mut spectrum = inverse.make_input_vec();
        let mut windowed = inverse.make_output_vec();
        let mut scratch = inverse.make_scratch_vec();
        let last = spectrum.len() - 1;
        self.samples.fill(0.0);
        for (frame, source) in self.spectra.iter().enumerate() {
            spectrum.copy_from_slice(source);
            // Those of a real waveform have no imaginary part.
            (spectrum[0].im, spectrum[last].im) = (0.0, 0.0);
            inverse
                .process_with_scratch(&mut spectrum, &mut windowed, &mut scratch)
                .expect("the buffers are the transform's own, and both ends are real");
            let samples = &mut self.samples[frame * config.hop..];
            samples
                .iter_mut()
                .zip(windowed.iter().zip(window))
                .for_each(|(sum, (value, window))| *sum += value * window);
        }
        let scale = 1.0 / config.window as f32;
        for (sample, overlap) in self.samples.iter_mut().zip(&self.overlap) {
            *sample *= scale / overlap.max(LEAST_OVERLAP);
        }
    }
}

#[cfg(test)]
mod tests;
