//! The part of the world that moves: one solid object on a plain background, and what it does.
//!
//! [`sample`] is the one entry for training: it never yields a combination that [`held_out`] keeps for the judge.

pub mod captions;
mod clip;
mod motion;
#[cfg(test)]
mod tests;

pub use clip::Clip;
pub use motion::{Direction, Motion};

use super::{Rng, held_out};
use captions::Mention;

/// A clip and one of the captions that are true of it.
pub struct VideoSample {
    pub caption: String,
    pub clip: Clip,
}

/// The share of clips that spin unless a recipe says otherwise: more than of any other motion, because turned outlines are
/// what is hardest to learn.
pub const SPINS: f32 = 0.38;

/// Draws a training sample, which spins with the chance `spins`. Held-out combinations never come up.
pub fn sample(rng: &mut Rng, spins: f32) -> VideoSample {
    let motion = Motion::sample(rng, spins);
    let (shape, colour) = loop {
        let combination = held_out::combination(rng, false);
        if motion.shows_on(combination.0) {
            break combination;
        }
    };
    let clip = Clip::sample(rng, shape, colour, motion);
    let mention = Mention::sample(rng, &clip);
    VideoSample { caption: captions::write(&clip, mention, rng), clip }
}

/// Captions without their clips, for training a tokenizer.
pub fn corpus(n: usize, seed: u64) -> impl Iterator<Item = String> {
    let mut rng = Rng::new(seed);
    (0..n).map(move |_| sample(&mut rng, SPINS).caption)
}
