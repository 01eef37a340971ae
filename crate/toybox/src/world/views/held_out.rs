//! The tenth of all solids in colours that training never sees, by a fixed linear hash.

use super::{Colour, Rng, Solid};

/// What an object is called by.
pub type Combination = (Solid, Colour);

/// The colours of solids: all but white, which the background is.
pub const COLOURS: [Colour; 11] = {
    use Colour::*;
    [Red, Orange, Yellow, Green, Cyan, Blue, Purple, Pink, Black, Brown, Grey]
};

/// Whether solids of this kind and colour are kept for the judge. Every solid lacks at least one colour.
///
/// # Panics
/// If no solid has this colour.
pub fn held_out((solid, colour): Combination) -> bool {
    let colour = COLOURS.iter().position(|&known| known == colour).expect("a colour of solids");
    (solid as usize + 3 * colour) % 10 == 7
}

/// Draws a combination: one that is trained on, or one that is held out.
pub fn combination(rng: &mut Rng, held: bool) -> Combination {
    loop {
        let combination = (rng.choose(&Solid::ALL), rng.choose(&COLOURS));
        if held_out(combination) == held {
            return combination;
        }
    }
}
