//! What every sound has in common, and what is kept from training.

use super::held_out::held_out;
use super::{PEAK, Pattern, Pitch, Rng, Sound, Timbre, corpus, sample};

const RATE: u32 = 16_000;

fn combinations() -> impl Iterator<Item = (Timbre, Pitch, Pattern)> {
    let pairs = Timbre::ALL.into_iter().flat_map(|timbre| Pitch::ALL.map(|pitch| (timbre, pitch)));
    pairs.flat_map(|(timbre, pitch)| Pattern::ALL.map(|pattern| (timbre, pitch, pattern)))
}

#[test]
fn sounds_repeat_and_neither_clip_nor_begin_or_end_with_a_click() {
    let mut rng = Rng::new(1);
    for (timbre, pitch, pattern) in combinations() {
        let sound = Sound::new(&mut rng, timbre, pitch, pattern);
        let samples = sound.render(2.0, RATE);
        assert_eq!(samples.len(), 2 * RATE as usize);
        assert_eq!(samples, sound.render(2.0, RATE));
        let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!((peak - PEAK).abs() < 1e-4, "{sound:?}: {peak}");
        assert_eq!((samples[0], samples[samples.len() - 1]), (0.0, 0.0), "{sound:?}");
    }
}

#[test]
fn a_sound_may_have_any_length() {
    let sound = Sound::new(&mut Rng::new(2), Timbre::Bell, Pitch::High, Pattern::Trill);
    for seconds in [0.0, 0.01, 0.3, 5.0] {
        let samples = sound.render(seconds, 8_000);
        assert_eq!(samples.len(), (seconds * 8_000.0) as usize);
        assert!(samples.iter().all(|sample| sample.abs() <= 1.0));
    }
}

#[test]
fn a_tenth_is_held_out_evenly_and_never_sampled() {
    let held: Vec<_> = combinations().filter(|&combination| held_out(combination)).collect();
    assert!((10..=12).contains(&held.len()), "{}", held.len());
    let count = |of: &dyn Fn(&(Timbre, Pitch, Pattern)) -> bool| held.iter().filter(|held| of(held)).count();
    for timbre in Timbre::ALL {
        assert!((1..=2).contains(&count(&|held| held.0 == timbre)), "{timbre:?}");
    }
    for pitch in Pitch::ALL {
        assert!((3..=4).contains(&count(&|held| held.1 == pitch)), "{pitch:?}");
    }
    for pattern in Pattern::ALL {
        assert!((1..=2).contains(&count(&|held| held.2 == pattern)), "{pattern:?}");
    }
    for a in &held {
        let shared = |b: &(Timbre, Pitch, Pattern)| [a.0 == b.0, a.1 == b.1, a.2 == b.2].map(usize::from);
        assert!(held.iter().all(|b| b == a || shared(b).iter().sum::<usize>() < 2), "{a:?}");
    }
    let mut rng = Rng::new(3);
    for _ in 0..2_000 {
        let sound = sample(&mut rng).sound;
        assert!(!held_out((sound.timbre, sound.pitch, sound.pattern)));
    }
}

#[test]
fn captions_are_varied_and_say_what_they_must() {
    let captions: Vec<_> = corpus(4_000, 4).map(|caption| caption.to_lowercase()).collect();
    for wanted in ["a low bell, rising", "a high sine tone", "three low drum beeps", "a scale on a middle pluck"] {
        assert!(captions.iter().any(|caption| caption == wanted), "{wanted}");
    }
    let mut rng = Rng::new(5);
    for _ in 0..2_000 {
        let sample = sample(&mut rng);
        assert!(sample.caption.to_lowercase().contains(sample.sound.timbre.name()), "{}", sample.caption);
    }
}
