//! Several true ways of saying what a solid is.

use super::{Rng, SolidObject, sample};

/// Captions without their objects, for training a tokenizer.
pub fn corpus(n: usize, seed: u64) -> impl Iterator<Item = String> {
    let mut rng = Rng::new(seed);
    (0..n).map(move |_| sample(&mut rng).caption)
}

/// Writes one caption that is true of the object; whether it is matte or shiny is said if `mention_finish`.
pub fn write(object: &SolidObject, mention_finish: bool, rng: &mut Rng) -> String {
    let (solid, colour, finish) = (object.solid.name(), object.colour.name(), object.finish.name());
    let phrase = match (mention_finish, rng.uniform()) {
        (true, u) if u < 0.12 => format!("{solid} in {colour}, {finish}"),
        (true, u) if u < 0.24 => format!("{finish} {solid} in {colour}"),
        (true, u) if u < 0.34 => format!("{colour} {finish} {solid}"),
        (true, _) => format!("{finish} {colour} {solid}"),
        (false, u) if u < 0.15 => format!("{solid} in {colour}"),
        (false, _) => format!("{colour} {solid}"),
    };
    let mut caption = match rng.uniform() {
        u if u < 0.14 => format!("one {phrase}"),
        u if u < 0.22 => phrase,
        _ if phrase.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {phrase}"),
        _ => format!("a {phrase}"),
    };
    // Mostly lower case without a full stop, as prompts are typed.
    if rng.chance(0.25) {
        caption[..1].make_ascii_uppercase();
    }
    if rng.chance(0.06) {
        caption.push('.');
    }
    caption
}
