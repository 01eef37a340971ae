//! There and back, and spectrograms that are none.

use super::*;
use crate::decode::mel::MelSpectrogram;

/// In decibels below the spectrogram; measured: 23.
const LEAST_ERROR: f32 = 18.0;

fn config() -> MelConfig {
    MelConfig {
        sample_rate: 16_000,
        window: 1024,
        hop: 256,
        bands: 80,
        floor: 1e-2,
        mean: -4.0,
        std: 1.3,
        iterations: 32,
    }
}

/// Two seconds of three partials that rise, and silence.
fn samples() -> Vec<f32> {
    let sample = |i: usize| {
        let t = i as f32 / 16_000.0;
        let partial = |k: f32| (TAU * k * (220.0 + 60.0 * t) * t).sin() / k;
        let loudness = 0.4 * (t / 0.05).min(1.0) * ((1.6 - t) / 0.1).clamp(0.0, 1.0);
        loudness * [1.0, 2.0, 5.0].into_iter().map(partial).sum::<f32>()
    };
    (0..32_000).map(sample).collect()
}

/// How far apart the two are, in decibels below the first.
fn error(mel: &[f32], other: &[f32]) -> f32 {
    let magnitude = |value: &f32| (value * config().std + config().mean).exp();
    let power = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>();
    let difference = power(&mut mel.iter().zip(other).map(|(a, b)| magnitude(a) - magnitude(b)));
    10.0 * (power(&mut mel.iter().map(magnitude)) / difference).log10()
}

#[test]
fn a_sound_comes_back_with_nearly_the_same_spectrogram() -> Result<()> {
    let (analysis, synthesis) = (MelSpectrogram::new(&config())?, GriffinLim::new(&config())?);
    let mel = analysis.analyse(&samples(), 8);
    let waveform = synthesis.waveform(&mel, 128)?;
    assert_eq!(waveform.len(), 128 * 256);
    assert_eq!(waveform, synthesis.waveform(&mel, 128)?);
    let decibels = error(&mel, &analysis.analyse(&waveform, 8));
    println!("resynthesis: {decibels:.1} dB");
    assert!(decibels > LEAST_ERROR, "{decibels}");

    let first_guess = synthesis.start(&mel, 128)?.finish();
    assert!(error(&mel, &analysis.analyse(&first_guess, 8)) < decibels);
    Ok(())
}

#[test]
fn steps_end_and_add_up_to_the_whole() -> Result<()> {
    let (analysis, synthesis) = (MelSpectrogram::new(&config())?, GriffinLim::new(&config())?);
    let mel = analysis.analyse(&samples()[..8_000], 8);
    let mut reconstruction = synthesis.start(&mel, 32)?;
    let mut steps = 1;
    while reconstruction.step() {
        steps += 1;
    }
    assert_eq!(steps, config().iterations);
    assert!(!reconstruction.step());
    assert_eq!(reconstruction.finish(), synthesis.waveform(&mel, 32)?);
    Ok(())
}

#[test]
fn whatever_is_finite_gives_samples_that_can_be_played() -> Result<()> {
    let synthesis = GriffinLim::new(&config())?;
    assert!(synthesis.waveform(&[-8.0; 80], 1)?.iter().all(|sample| *sample == 0.0));
    for value in [f32::MIN, 0.0, 3.0, f32::MAX] {
        let waveform = synthesis.waveform(&[value; 80 * 5], 5)?;
        assert!(waveform.iter().all(|sample| sample.abs() <= 1.0), "{value}");
        assert_eq!((waveform[0], waveform[5 * 256 - 1]), (0.0, 0.0));
    }
    Ok(())
}

#[test]
fn what_is_no_spectrogram_is_refused() -> Result<()> {
    let synthesis = GriffinLim::new(&config())?;
    let refused = |mel: &[f32], frames| synthesis.waveform(mel, frames).expect_err("no spectrogram").to_string();
    let mut mel = vec![0.0; 160];
    assert!(refused(&mel, 3).contains("expected 80 bands of 3 frames"));
    assert!(refused(&[], 0).contains("at least one"));
    mel[3] = f32::NAN;
    assert_eq!(refused(&mel, 2), "spectrogram: expected finite values, found NaN in band 1, frame 1");
    Ok(())
}
