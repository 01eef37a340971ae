//! The Fourier transform of real numbers, `X[k] = Σ x[m] e^(−2πikm/n)`, and its way back.
//!
//! Two neighbours are one complex number of a transform of half the length n: those of even and of odd places are told
//! apart by the symmetry that transforms of real numbers have (Sorensen, Jones, Heideman and Burrus, 1987).

use std::{f64::consts::TAU, sync::Arc};

use rustfft::{Fft, num_complex::Complex32};

/// A transform of one length.
pub(super) struct Fourier {
    /// Of half the length.
    half: Arc<dyn Fft<f32>>,
    /// e^(−2πik/n) for every bin k.
    turns: Vec<Complex32>,
}

/// What a transform writes to on its way.
pub(super) struct Scratch {
    /// Two neighbours in one.
    pairs: Vec<Complex32>,
    inner: Vec<Complex32>,
}

impl Fourier {
    /// Of `length` numbers, an even one of at least 2.
    pub fn new(length: usize) -> Self {
        let angle = |bin: usize| -TAU * bin as f64 / length as f64;
        let turn = |bin| Complex32::new(angle(bin).cos() as f32, angle(bin).sin() as f32);
        Self { half: transform(length / 2), turns: (0..=length / 2).map(turn).collect() }
    }

    /// n / 2 + 1.
    pub fn bins(&self) -> usize {
        self.turns.len()
    }

    /// To be used again and again.
    pub fn scratch(&self) -> Scratch {
        let zeros = |length| vec![Complex32::ZERO; length];
        Scratch { pairs: zeros(self.half.len()), inner: zeros(self.half.get_inplace_scratch_len()) }
    }

    /// `samples` of the length to the `spectrum`'s bins.
    pub fn forward(&self, samples: &[f32], spectrum: &mut [Complex32], Scratch { pairs, inner }: &mut Scratch) {
        for (pair, neighbours) in pairs.iter_mut().zip(samples.as_chunks::<2>().0) {
            *pair = Complex32::new(neighbours[0], neighbours[1]);
        }
        self.half.process_with_scratch(pairs, inner);
        let half = pairs.len();
        for (k, (bin, turn)) in spectrum.iter_mut().zip(&self.turns).enumerate() {
            let (near, far) = (pairs[k % half], pairs[(half - k) % half].conj());
            let (even, odd) = ((near + far) * 0.5, (near - far) * 0.5);
            // The odd ones are (near − far) / 2i.
            *bin = even + turn * Complex32::new(odd.im, -odd.re);
        }
    }

    /// Back, times the length. Both ends of the spectrum of real numbers are real.
    pub fn inverse(&self, spectrum: &[Complex32], samples: &mut [f32], Scratch { pairs, inner }: &mut Scratch) {
        let half = pairs.len();
        for (k, (pair, turn)) in pairs.iter_mut().zip(&self.turns).enumerate() {
            let (near, far) = (spectrum[k], spectrum[half - k].conj());
            let (even, odd) = (near + far, (near - far) * turn.conj());
            // even + i · odd, with the parts exchanged: so a transform forward goes back.
            *pair = Complex32::new(even.im + odd.re, even.re - odd.im);
        }
        self.half.process_with_scratch(pairs, inner);
        for (pair, neighbours) in pairs.iter().zip(samples.as_chunks_mut::<2>().0) {
            *neighbours = [pair.im, pair.re];
        }
    }
}

/// Of `length` complex numbers, by the best of what the library has.
#[cfg(not(target_family = "wasm"))]
fn transform(length: usize) -> Arc<dyn Fft<f32>> {
    rustfft::FftPlanner::new().plan_fft_forward(length)
}

#[cfg(target_family = "wasm")]
use with_few as transform;

/// The same by two algorithms, where a dozen others would have to be downloaded: powers of two have the first, which is the
/// best for them, and any other length becomes three times one of those.
#[cfg(any(test, target_family = "wasm"))]
fn with_few(length: usize) -> Arc<dyn Fft<f32>> {
    use rustfft::{
        FftDirection,
        algorithm::{BluesteinsAlgorithm, Radix4},
    };
    let power = |length| Arc::new(Radix4::new(length, FftDirection::Forward));
    if length.is_power_of_two() {
        return power(length);
    }
    Arc::new(BluesteinsAlgorithm::new(length, power((2 * length - 1).next_power_of_two())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of sums of a thousand numbers.
    const TOLERANCE: f32 = 1e-5;
    /// Powers of two and their doubles, products of small primes, twice a prime.
    const LENGTHS: [usize; 7] = [2, 16, 54, 400, 514, 1024, 2048];

    fn numbers(length: usize) -> Vec<f32> {
        (0..length).map(|i| ((i * i + 3 * i) % 17) as f32 / 8.0 - 1.0).collect()
    }

    fn with(length: usize, half: Arc<dyn Fft<f32>>) -> Fourier {
        Fourier { half, ..Fourier::new(length) }
    }

    #[test]
    fn it_is_the_transform_by_either_choice_of_algorithms() {
        for length in LENGTHS {
            let x = numbers(length);
            let term = |k: usize, m: usize| {
                Complex32::from_polar(x[m], (-TAU * (k * m % length) as f64 / length as f64) as f32)
            };
            let expected: Vec<Complex32> = (0..=length / 2).map(|k| (0..length).map(|m| term(k, m)).sum()).collect();
            let scale = expected.iter().map(Complex32::norm_sqr).sum::<f32>().sqrt();
            for half in [transform(length / 2), with_few(length / 2)] {
                let fourier = with(length, half);
                let mut found = vec![Complex32::ZERO; fourier.bins()];
                fourier.forward(&x, &mut found, &mut fourier.scratch());
                let off = found.iter().zip(&expected).map(|(a, b)| (a - b).norm_sqr()).sum::<f32>().sqrt();
                assert!(off <= TOLERANCE * scale, "{length}: {off:e} of {scale}");
            }
        }
    }

    #[test]
    fn there_and_back_is_the_length_times_the_same() {
        for length in LENGTHS {
            let x = numbers(length);
            for half in [transform(length / 2), with_few(length / 2)] {
                let fourier = with(length, half);
                let (mut scratch, mut spectrum) = (fourier.scratch(), vec![Complex32::ZERO; fourier.bins()]);
                let mut found = vec![0.0; length];
                fourier.forward(&x, &mut spectrum, &mut scratch);
                fourier.inverse(&spectrum, &mut found, &mut scratch);
                let off = |(found, x): (&f32, &f32)| (found / length as f32 - x).abs();
                let worst = found.iter().zip(&x).map(off).fold(0.0, f32::max);
                assert!(worst <= TOLERANCE, "{length}: {worst:e}");
            }
        }
    }
}
