//! The tenth of all combinations that training never hears.
//!
//! The choice is a fixed linear hash, so it is spread evenly: every timbre, every pitch and every pattern lacks some,
//! and no two of the three together lack more than one.

use super::{Pattern, Pitch, Rng, Timbre};

/// What a sound is called by.
pub type Combination = (Timbre, Pitch, Pattern);

/// Whether such sounds are kept for the judge.
pub fn held_out((timbre, pitch, pattern): Combination) -> bool {
    (3 * timbre as usize + 4 * pitch as usize + pattern as usize) % 10 == 9
}

/// Draws a combination: one that is trained on, or one that is held out.
pub fn combination(rng: &mut Rng, held: bool) -> Combination {
    loop {
        let combination = (rng.choose(&Timbre::ALL), rng.choose(&Pitch::ALL), rng.choose(&Pattern::ALL));
        if held_out(combination) == held {
            return combination;
        }
    }
}
