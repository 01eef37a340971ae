//! The committed list of captions to judge by: written once, before training, from a fixed seed.

use std::path::Path;

use anyhow::Result;

use super::VideoExpectation;
use crate::judge::lines;
use crate::world::video::captions::{self, Mention};
use crate::world::video::{Clip, Direction, Motion};
use crate::world::{Background, Colour, Rng, Shape, held_out};

const SEED: u64 = 0x76_69_64_65_6F;
const CLIPS: usize = 80;
const HELD_OUT_CLIPS: usize = 20;
const SIZE: [u32; 2] = [64, 64];
const FRAMES: usize = 8;

/// Writes the list as JSON lines. The same list every time.
pub fn write(path: &Path) -> Result<()> {
    lines::write(path, draw(SEED).into_iter().map(|(expectation, _)| expectation))
}

/// The expectations of a list, each with a clip that fulfils it.
pub(super) fn draw(seed: u64) -> Vec<(VideoExpectation, Clip)> {
    let mut rng = Rng::new(seed);
    (0..CLIPS + HELD_OUT_CLIPS)
        .map(|i| {
            let clip = clip(&mut rng, i, i >= CLIPS);
            state(clip, &mut rng, i >= CLIPS)
        })
        .collect()
}

/// The `i`th clip: shapes, colours, motions and directions take turns, so that none is missed.
fn clip(rng: &mut Rng, i: usize, held: bool) -> Clip {
    let direction = Direction::ALL[i % 4];
    let motion = match i % 11 {
        0 | 2 | 5 | 8 => Motion::Moves(direction),
        1 | 6 => Motion::MovesAndSpins(direction),
        3 => Motion::Spins,
        4 => [Motion::Grows, Motion::Shrinks][i / 11 % 2],
        7 => Motion::Bounces,
        9 => Motion::Circles,
        _ => Motion::Blinks,
    };
    let colours = (0..12).map(|turn| Colour::ALL[(i + i / 10 + turn) % 12]);
    let combinations = colours.flat_map(|colour| (0..10).map(move |turn| (Shape::ALL[(i + turn) % 10], colour)));
    let mut wanted =
        combinations.filter(|&(shape, colour)| held_out::held_out(shape, colour) == held && motion.shows_on(shape));
    let (shape, colour) = wanted.next().expect("some combinations are held out, most are not, and most can spin");
    Clip::sample(rng, shape, colour, motion)
}

/// Writes a caption for a clip and states what it asks for.
fn state(clip: Clip, rng: &mut Rng, held_out: bool) -> (VideoExpectation, Clip) {
    let mention = Mention::sample(rng, &clip);
    let expectation = VideoExpectation {
        caption: captions::write(&clip, mention, rng),
        size: SIZE,
        frames: FRAMES,
        shape: clip.object().shape.name().into(),
        colour: clip.object().colour.name().into(),
        motions: motion_names(clip.motion).iter().map(|&name| name.into()).collect(),
        direction: clip.motion.direction().map(|direction| direction.name().into()),
        background: match clip.scene.background {
            Background::Plain(colour) if mention.background => Some(colour.name().into()),
            _ => None,
        },
        held_out,
    };
    (expectation, clip)
}

fn motion_names(motion: Motion) -> &'static [&'static str] {
    match motion {
        Motion::Moves(_) => &["moves"],
        Motion::MovesAndSpins(_) => &["moves", "spins"],
        Motion::Spins => &["spins"],
        Motion::Grows => &["grows"],
        Motion::Shrinks => &["shrinks"],
        Motion::Bounces => &["bounces"],
        Motion::Circles => &["circles"],
        Motion::Blinks => &["blinks"],
    }
}
