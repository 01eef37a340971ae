//! The committed list of captions to judge by: written once, before training, from a fixed seed.

use std::path::Path;

use anyhow::Result;

use super::ViewsExpectation;
use crate::judge::lines;
use crate::world::Rng;
use crate::world::views::{Finish, Solid, SolidObject, captions, held_out};

const SEED: u64 = 0x76_69_65_77_73;
const TRAINED: usize = 64;
const HELD_OUT: usize = 16;
const SIDE: u32 = 64;
const VIEWS: usize = 8;

/// Writes the list as JSON lines. The same list every time.
pub fn write(path: &Path) -> Result<()> {
    lines::write(path, draw(SEED).into_iter().map(|(expectation, _)| expectation))
}

/// The expectations of a list, each with an object that fulfils it.
pub(super) fn draw(seed: u64) -> Vec<(ViewsExpectation, SolidObject)> {
    let mut rng = Rng::new(seed);
    (0..TRAINED + HELD_OUT).map(|i| state(&mut rng, i, i >= TRAINED)).collect()
}

/// The `i`th object: solids and colours take turns, so that none is missed.
fn state(rng: &mut Rng, i: usize, held: bool) -> (ViewsExpectation, SolidObject) {
    let (solids, colours) = (Solid::ALL, held_out::COLOURS);
    let turns = (0..solids.len() * colours.len()).map(|turn| {
        let colour = colours[(i + i / solids.len() + turn / solids.len()) % colours.len()];
        (solids[(i + turn) % solids.len()], colour)
    });
    let mut wanted = turns.filter(|&combination| held_out::held_out(combination) == held);
    let combination = wanted.next().expect("some combinations are held out, most are not");
    let finish = rng.choose(&Finish::ALL);
    let object = SolidObject::new(rng, combination, finish);
    let mention_finish = rng.chance(0.8);
    let expectation = ViewsExpectation {
        caption: captions::write(&object, mention_finish, rng),
        size: [SIDE; 2],
        views: VIEWS,
        solid: object.solid.name().into(),
        colour: object.colour.name().into(),
        material: mention_finish.then(|| object.finish.name().into()),
        held_out: held,
    };
    (expectation, object)
}
