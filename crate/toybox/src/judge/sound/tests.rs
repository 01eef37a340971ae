//! The judge must be right about sounds whose truth is known before it is believed about others.

use flagdit::decode::griffin_lim::GriffinLim;
use flagdit::decode::mel::{MelConfig, MelSpectrogram};

use super::{SoundExpectation, SoundTable, list, measure, score};
use crate::judge::table::Tally;
use crate::judge::tests::assert_committed;
use crate::world::Rng;

const RATE: u32 = 16_000;
/// Decibels that resynthesis must keep; measured: 18.9 and 13.0.
const LEAST_OVERALL: f32 = 16.0;
const LEAST_OF_ALL: f32 = 9.0;

fn config() -> MelConfig {
    MelConfig {
        sample_rate: RATE,
        window: 1024,
        hop: 256,
        bands: 80,
        floor: 1e-2,
        mean: -4.0,
        std: 1.3,
        iterations: 32,
    }
}

/// A list of captions with the sounds that they describe.
fn sounds(seed: u64) -> Vec<(SoundExpectation, Vec<f32>)> {
    let render = |(expectation, sound): (SoundExpectation, crate::world::sound::Sound)| {
        let samples = sound.render(expectation.seconds, RATE);
        (expectation, samples)
    };
    list::draw(seed).into_iter().map(render).collect()
}

fn judge<'a>(sounds: impl Iterator<Item = (&'a SoundExpectation, &'a [f32])>) -> SoundTable {
    let mut table = SoundTable::default();
    for (expectation, samples) in sounds {
        let measurement = measure(samples, RATE);
        let verdict = score(measurement.as_ref(), expectation);
        if !(verdict.timbre && verdict.pitch && verdict.pattern) {
            println!("{expectation:?}: {measurement:?}");
        }
        table.add(expectation, &verdict);
    }
    table
}

fn percent(tally: Tally) -> f64 {
    tally.percent().expect("the list asks for every attribute")
}

#[test]
fn rendered_truth_is_judged_right() {
    let sounds: Vec<_> = (1..=4).flat_map(sounds).collect();
    let table = judge(sounds.iter().map(|(expectation, samples)| (expectation, &samples[..])));
    println!("{table}");
    let row = &table.overall;
    for tally in [row.timbre, row.pitch, row.pattern] {
        assert!(percent(tally) >= 99.0, "an attribute is judged wrongly too often:\n{table}");
    }
}

/// Sounds that are generated went through mel bands and Griffin-Lim; and what a denoiser leaves of its noise, here of a
/// fifth of the spectrogram's standard deviation, is to be forgiven.
#[test]
fn resynthesised_truth_is_judged_nearly_right() {
    let sounds = sounds(5);
    let (analysis, synthesis) = (MelSpectrogram::new(&config()).unwrap(), GriffinLim::new(&config()).unwrap());
    let mut rng = Rng::new(6);
    for noise in [0.0, 0.2] {
        let mut resynthesise = |(expectation, samples): &(SoundExpectation, Vec<f32>)| {
            let mut mel = analysis.analyse(samples, 8);
            for value in &mut mel {
                *value += noise * ((0..12).map(|_| rng.uniform()).sum::<f32>() - 6.0);
            }
            (expectation.clone(), synthesis.waveform(&mel, mel.len() / config().bands).unwrap())
        };
        let again: Vec<_> = sounds.iter().map(&mut resynthesise).collect();
        let table = judge(again.iter().map(|(expectation, samples)| (expectation, &samples[..])));
        println!("noise {noise}\n{table}");
        let row = &table.overall;
        for tally in [row.timbre, row.pitch, row.pattern] {
            assert!(percent(tally) >= 95.0, "resynthesis misleads the judge:\n{table}");
        }
    }
}

/// How much of a spectrogram mel bands and Griffin-Lim leave, in decibels: of all sounds together, and of the worst.
#[test]
fn resynthesis_keeps_the_spectrogram() {
    let (analysis, synthesis) = (MelSpectrogram::new(&config()).unwrap(), GriffinLim::new(&config()).unwrap());
    let magnitude = |value: &f32| (value * config().std + config().mean).exp();
    let (mut signal, mut noise, mut worst) = (0.0, 0.0, f32::MAX);
    for (_, samples) in sounds(7) {
        let mel = analysis.analyse(&samples, 8);
        let again = analysis.analyse(&synthesis.waveform(&mel, mel.len() / config().bands).unwrap(), 8);
        let power: f32 = mel.iter().map(|value| magnitude(value).powi(2)).sum();
        let error: f32 = mel.iter().zip(&again).map(|(a, b)| (magnitude(a) - magnitude(b)).powi(2)).sum();
        worst = worst.min(10.0 * (power / error).log10());
        (signal, noise) = (signal + power, noise + error);
    }
    let all = 10.0 * (signal / noise).log10();
    println!("resynthesis: {all:.1} dB over all sounds, {worst:.1} dB the worst");
    assert!(all > LEAST_OVERALL && worst > LEAST_OF_ALL, "{all} {worst}");
}

/// Sounds judged by the captions of others score about as if guessed: 1 in 6 timbres and patterns, 1 in 3 pitches.
#[test]
fn shuffled_captions_are_near_chance() {
    let sounds = sounds(8);
    let measured: Vec<_> = sounds.iter().map(|(_, samples)| measure(samples, RATE)).collect();
    let mut table = SoundTable::default();
    let mut rng = Rng::new(9);
    for (expectation, _) in &sounds {
        for _ in 0..20 {
            table.add(expectation, &score(measured[rng.below(measured.len())].as_ref(), expectation));
        }
    }
    println!("{table}");
    let row = &table.overall;
    for (tally, chance) in [(row.timbre, 100.0 / 6.0), (row.pitch, 100.0 / 3.0), (row.pattern, 100.0 / 6.0)] {
        assert!((percent(tally) - chance).abs() < 4.0, "a wrong caption is judged right too often:\n{table}");
    }
}

#[test]
fn silence_is_judged_as_nothing() {
    let expectation = &list::draw(10)[0].0;
    for samples in [vec![0.0; 32_000], vec![1e-4; 32_000], vec![f32::NAN; 32_000], Vec::new(), vec![0.5; 10]] {
        let measurement = measure(&samples, RATE);
        assert!(measurement.is_none(), "{measurement:?}");
        let verdict = score(measurement.as_ref(), expectation);
        assert!(!verdict.timbre && !verdict.pitch && !verdict.pattern);
    }
}

#[test]
fn the_committed_list_is_what_the_seed_gives() {
    assert_committed::<SoundExpectation>("sounds.json", list::write);
}
