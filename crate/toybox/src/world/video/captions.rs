//! Several true ways of saying what a clip shows.

use super::{Clip, Direction, Motion};
use crate::world::captions as stills;
use crate::world::{Background, Rng};

/// What a caption says besides shape, colour and motion, which it always says.
#[derive(Clone, Copy, Debug)]
pub struct Mention {
    pub size: bool,
    pub background: bool,
}

impl Mention {
    /// Draws what to say about a clip. What grows or shrinks has no size.
    pub fn sample(rng: &mut Rng, clip: &Clip) -> Self {
        let resizes = matches!(clip.motion, Motion::Grows | Motion::Shrinks);
        Self { size: !resizes && rng.chance(0.5), background: rng.chance(0.6) }
    }
}

/// Writes one caption that is true of the clip.
pub fn write(clip: &Clip, mention: Mention, rng: &mut Rng) -> String {
    let of_object = stills::Mention { colour: true, size: mention.size, ..stills::Mention::SHAPE_ONLY };
    let sentence = stills::write(&clip.scene, of_object, rng);
    let (subject, stop) = match sentence.strip_suffix('.') {
        Some(subject) => (subject, "."),
        None => (sentence.as_str(), ""),
    };
    let predicate = predicate(clip.motion, rng);
    match clip.scene.background {
        background @ Background::Plain(_) if mention.background => {
            let place = stills::background_words(background, rng);
            match rng.chance(0.12) {
                true => format!("{subject} {place} {predicate}{stop}"),
                false => format!("{subject} {predicate} {place}{stop}"),
            }
        }
        _ => format!("{subject} {predicate}{stop}"),
    }
}

/// How a verb is used: "moves", "moving".
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Finite,
    Participle,
}

/// "moves right", "that spins", "moving to the left and spinning".
fn predicate(motion: Motion, rng: &mut Rng) -> String {
    let (prefix, form) = match rng.uniform() {
        u if u < 0.65 => ("", Form::Finite),
        u if u < 0.8 => ("that ", Form::Finite),
        _ => ("", Form::Participle),
    };
    let words = match motion {
        Motion::MovesAndSpins(direction) => {
            let (moves, spins) = (verb(Motion::Moves(direction), form, rng), verb(Motion::Spins, form, rng));
            match rng.uniform() {
                u if u < 0.7 => format!("{moves} and {spins}"),
                u if u < 0.85 => format!("{spins} and {moves}"),
                _ => format!("{moves} while {}", verb(Motion::Spins, Form::Participle, rng)),
            }
        }
        _ => verb(motion, form, rng),
    };
    format!("{prefix}{words}")
}

/// One of the ways to name a single motion, the plainest more often than the others.
fn verb(motion: Motion, form: Form, rng: &mut Rng) -> String {
    let (finite, participle, rest) = match motion {
        Motion::Moves(direction) | Motion::MovesAndSpins(direction) => {
            let (finite, participle, _) = rng.choose(&[MOVES, MOVES, MOVES, ("goes", "going", "")]);
            (finite, participle, direction_words(direction, rng))
        }
        Motion::Spins => rng.choose(&[SPINS, SPINS, SPINS, ("spins", "spinning", " around"), ("turns", "turning", "")]),
        Motion::Grows => rng.choose(&[GROWS, GROWS, ("gets", "getting", " larger"), ("gets", "getting", " bigger")]),
        Motion::Shrinks => rng.choose(&[SHRINKS, SHRINKS, ("gets", "getting", " smaller")]),
        Motion::Bounces => rng.choose(&[BOUNCES, ("bounces", "bouncing", " up and down")]),
        Motion::Circles => rng.choose(&[
            ("circles", "circling", " around"),
            ("moves", "moving", " in a circle"),
            ("goes", "going", " in a circle"),
            ("goes", "going", " round in a circle"),
        ]),
        Motion::Blinks => rng.choose(&[BLINKS, BLINKS, ("blinks", "blinking", " on and off"), FLASHES]),
    };
    format!("{}{rest}", if form == Form::Finite { finite } else { participle })
}

/// A verb in its two forms, and what follows it.
type Verb = (&'static str, &'static str, &'static str);

const MOVES: Verb = ("moves", "moving", "");
const SPINS: Verb = ("spins", "spinning", "");
const GROWS: Verb = ("grows", "growing", "");
const SHRINKS: Verb = ("shrinks", "shrinking", "");
const BOUNCES: Verb = ("bounces", "bouncing", "");
const BLINKS: Verb = ("blinks", "blinking", "");
const FLASHES: Verb = ("flashes", "flashing", "");

fn direction_words(direction: Direction, rng: &mut Rng) -> &'static str {
    match direction {
        Direction::Left => rng.choose(&[" left", " left", " to the left"]),
        Direction::Right => rng.choose(&[" right", " right", " to the right"]),
        Direction::Up => rng.choose(&[" up", " up", " to the top"]),
        Direction::Down => rng.choose(&[" down", " down", " to the bottom"]),
    }
}
