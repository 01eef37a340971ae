//! The committed list of captions to judge by: written once, before training, from a fixed seed.

use std::path::Path;

use anyhow::Result;

use super::SoundExpectation;
use crate::judge::lines;
use crate::world::Rng;
use crate::world::sound::{Pattern, Pitch, Sound, Timbre, captions, held_out};

const SEED: u64 = 0x73_6F75_6E64;
const SECONDS: f32 = 2.0;
/// How often combinations come that are trained on, and those that are held out.
const TRAINED: usize = 1;
const HELD_OUT: usize = 2;

/// Writes the list as JSON lines. The same list every time.
pub fn write(path: &Path) -> Result<()> {
    lines::write(path, draw(SEED).into_iter().map(|(expectation, _)| expectation))
}

/// The expectations of a list, each with a sound that fulfils it: every combination there is.
pub(super) fn draw(seed: u64) -> Vec<(SoundExpectation, Sound)> {
    let mut rng = Rng::new(seed);
    let mut list = Vec::new();
    for timbre in Timbre::ALL {
        for pitch in Pitch::ALL {
            for pattern in Pattern::ALL {
                let held_out = held_out::held_out((timbre, pitch, pattern));
                for _ in 0..if held_out { HELD_OUT } else { TRAINED } {
                    list.push(state(Sound::new(&mut rng, timbre, pitch, pattern), held_out, &mut rng));
                }
            }
        }
    }
    list
}

/// Writes a caption for a sound and states what it asks for.
fn state(sound: Sound, held_out: bool, rng: &mut Rng) -> (SoundExpectation, Sound) {
    let expectation = SoundExpectation {
        caption: captions::write(&sound, rng),
        seconds: SECONDS,
        timbre: sound.timbre.name().into(),
        pitch: sound.pitch.name().into(),
        pattern: sound.pattern.name().into(),
        held_out,
    };
    (expectation, sound)
}
