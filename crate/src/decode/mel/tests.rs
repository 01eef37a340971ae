//! The analysis against librosa's figures and the definition, and configurations that mean harm.

use super::*;

fn config() -> MelConfig {
    MelConfig {
        sample_rate: 16_000,
        window: 1024,
        hop: 256,
        bands: 80,
        floor: 1e-4,
        mean: 0.0,
        std: 1.0,
        iterations: 1,
    }
}

fn sine(hz: f32, length: usize) -> Vec<f32> {
    (0..length).map(|i| (TAU * hz * i as f32 / 16_000.0).sin()).collect()
}

/// `librosa.mel_frequencies(n_mels=40, fmin=0, fmax=11025)`, as its documentation prints them.
#[test]
fn the_scale_is_librosas() {
    let expected = [(1, 85.317), (11, 938.49), (12, 1024.856), (20, 2071.84), (30, 4994.285), (39, 11_025.0)];
    for (i, hz) in expected {
        let found = hz_from_mel(mel_from_hz(11_025.0) * f64::from(i) / 39.0);
        assert!((found - hz).abs() < 1e-2, "{i}: {found}");
    }
}

#[test]
fn every_triangle_has_the_same_area() {
    let filters = MelFilters::new(&MelConfig { window: 16_384, ..config() });
    for band in 0..filters.bands() {
        let area = filters.band(band).1.iter().sum::<f32>() * 16_000.0 / 16_384.0;
        assert!((area - 1.0).abs() < 0.01, "{band}: {area}");
    }
}

/// By the definition of the Fourier transform, at a frame in the midst of the samples.
#[test]
fn a_frame_is_what_its_definition_says() -> Result<()> {
    let config = MelConfig { window: 64, hop: 16, bands: 8, mean: -1.0, std: 2.0, ..config() };
    let samples: Vec<_> = sine(1_500.0, 160).iter().zip(sine(5_000.0, 160)).map(|(a, b)| a + 0.3 * b).collect();
    let mel = MelSpectrogram::new(&config)?.analyse(&samples, 4);
    let frame = 5;
    let magnitude = |bin: usize| {
        let turn = |i: usize| TAU * (bin * i % 64) as f32 / 64.0;
        let value = |i: usize| samples[frame * 16 + i - 32] * hann(64)[i];
        let part = |of: fn(f32) -> f32| (0..64).map(|i| value(i) * of(turn(i))).sum::<f32>();
        part(f32::cos).hypot(part(f32::sin))
    };
    let magnitudes: Vec<_> = (0..33).map(magnitude).collect();
    for band in 0..8 {
        let expected = (MelFilters::new(&config).apply(band, &magnitudes).max(config.floor).ln() + 1.0) / 2.0;
        let found = mel[band * 12 + frame];
        assert!((found - expected).abs() < 1e-3, "{band}: {found} instead of {expected}");
    }
    Ok(())
}

#[test]
fn a_sine_is_one_line_and_silence_is_the_floor() -> Result<()> {
    let analysis = MelSpectrogram::new(&config())?;
    let mel = analysis.analyse(&sine(1_000.0, 32_000), 8);
    assert_eq!((mel.len(), analysis.frames(32_000, 8)), (80 * 128, 128));
    let loudest = (0..80).max_by(|&a, &b| mel[a * 128 + 60].total_cmp(&mel[b * 128 + 60]));
    // 1000 Hz are mel 15; the bands' middles are 45.25 / 81 apart.
    assert_eq!(loudest, Some(26));
    let silent = analysis.analyse(&[0.0; 100], 1);
    assert_eq!(silent, vec![1e-4f32.ln(); 80]);
    assert!(analysis.analyse(&[], 8).is_empty());
    Ok(())
}

#[test]
fn an_impossible_configuration_is_refused_by_name() {
    let json = r#"{"sample_rate": 16000, "window": 1024, "hop": 256, "bands": 80, "floor": 1e-4, "mean": 0.0,
                   "std": 1.0, "iterations": 1}"#;
    let right: MelConfig = serde_json::from_str(json).expect("a configuration");
    assert_eq!(right, config());
    assert!(right.check().is_ok());
    assert!(serde_json::from_str::<MelConfig>(&json.replace("mean", "average")).is_err());
    let wrong = [
        ("sample_rate", MelConfig { sample_rate: 0, ..config() }),
        ("window", MelConfig { window: usize::MAX, ..config() }),
        ("window", MelConfig { window: 1023, ..config() }),
        ("hop", MelConfig { hop: 513, ..config() }),
        ("bands", MelConfig { bands: 0, ..config() }),
        ("floor", MelConfig { floor: 0.0, ..config() }),
        ("mean", MelConfig { mean: f32::NAN, ..config() }),
        ("std", MelConfig { std: -1.0, ..config() }),
        ("iterations", MelConfig { iterations: 1_000_000, ..config() }),
    ];
    for (name, config) in wrong {
        let error = config.check().expect_err(name).to_string();
        assert!(error.starts_with(&format!("mel configuration, {name}: expected")), "{error}");
    }
}
