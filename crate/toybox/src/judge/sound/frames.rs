//! The spectrum of a sound, moment by moment.

use std::f32::consts::TAU;

use realfft::RealFftPlanner;

use super::loudness::Loudness;

/// Seconds under the window, and from one frame to the next.
const WINDOW: f32 = 0.064;
const HOP: f32 = 0.01;
/// No pitch is below or above these, in hertz.
const LOWEST: f32 = 80.0;
const HIGHEST: f32 = 3_000.0;
/// Half the width of a sine's main lobe under the Hann window, in bins.
const LOBE: f32 = 2.0;
/// The pitch of what is spread over many bins is the centre of what lies within this factor of its peak.
const CENTRE_WITHIN: f32 = 1.45;

/// The spectrum at a moment at which something is heard.
pub(super) struct Frame {
    /// The middle of the window, in seconds.
    pub time: f32,
    /// In hertz.
    pub pitch: f32,
    /// Power of each bin.
    power: Vec<f32>,
    bin_hz: f32,
}

/// The frames at which something is heard.
pub(super) fn frames(samples: &[f32], sample_rate: u32, loudness: &Loudness) -> Vec<Frame> {
    let window = 2 * (sample_rate as f32 * WINDOW / 2.0) as usize;
    let hop = (sample_rate as f32 * HOP) as usize;
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(window);
    let mut spectrum = fft.make_output_vec();
    let frame = |i: usize| {
        let time = (i * hop) as f32 / sample_rate as f32;
        if !loudness.audible(time) {
            return None;
        }
        let hann = |k: usize| 0.5 - 0.5 * (TAU * k as f32 / window as f32).cos();
        let sample = |k: usize| (i * hop + k).checked_sub(window / 2).and_then(|place| samples.get(place));
        let mut windowed: Vec<_> = (0..window).map(|k| sample(k).map_or(0.0, |sample| sample * hann(k))).collect();
        fft.process(&mut windowed, &mut spectrum).expect("the buffers have the transform's lengths");
        Frame::new(time, spectrum.iter().map(|value| value.norm_sqr()).collect(), sample_rate as f32 / window as f32)
    };
    (0..samples.len() / hop.max(1)).filter_map(frame).collect()
}

impl Frame {
    fn new(time: f32, power: Vec<f32>, bin_hz: f32) -> Option<Self> {
        let mut frame = Self { time, pitch: 0.0, power, bin_hz };
        let peak = frame.strongest(LOWEST, HIGHEST)?;
        let (low, high) = (peak / CENTRE_WITHIN, peak * CENTRE_WITHIN);
        let (mut total, mut sum) = (0.0, 0.0);
        for (hz, power) in frame.between(low.min(peak - 2.0 * bin_hz), high.max(peak + 2.0 * bin_hz)) {
            total += power;
            sum += power * hz;
        }
        frame.pitch = sum / total;
        (total > 0.0).then_some(frame)
    }

    /// The bins between two frequencies, as frequency and power.
    fn between(&self, low: f32, high: f32) -> impl Iterator<Item = (f32, f32)> {
        let first = (low / self.bin_hz).ceil().max(0.0) as usize;
        let bins = self.power.iter().enumerate().skip(first);
        bins.map(|(bin, power)| (bin as f32 * self.bin_hz, *power)).take_while(move |(hz, _)| *hz <= high)
    }

    /// The frequency of the strongest bin between two frequencies.
    fn strongest(&self, low: f32, high: f32) -> Option<f32> {
        self.between(low, high).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(hz, _)| hz)
    }

    /// The power of the bins between two frequencies.
    fn power_between(&self, low: f32, high: f32) -> f32 {
        self.between(low, high).map(|(_, power)| power).sum()
    }

    /// The power of a partial.
    pub fn partial(&self, hz: f32) -> f32 {
        let half = LOBE * self.bin_hz;
        self.power_between(hz - half, hz + half)
    }

    /// Of the power within half the pitch above and below it, what lies outside of its main lobe.
    pub fn beside(&self) -> f32 {
        let around = self.power_between(0.5 * self.pitch, 1.5 * self.pitch);
        let half = (LOBE + 0.5) * self.bin_hz;
        1.0 - self.power_between(self.pitch - half, self.pitch + half) / around.max(f32::MIN_POSITIVE)
    }

    /// The strongest partial between two multiples of the pitch, as a multiple and its power.
    pub fn strongest_partial(&self, low: f32, high: f32) -> Option<(f32, f32)> {
        let peak = self.strongest(low * self.pitch, high * self.pitch)?;
        let half = LOBE * self.bin_hz;
        let (mut total, mut sum) = (0.0, 0.0);
        for (hz, power) in self.between(peak - half, peak + half) {
            total += power;
            sum += power * hz;
        }
        Some((sum / total.max(f32::MIN_POSITIVE) / self.pitch, total))
    }
}
