//! Solids, their captions and their pictures from all sides: the part of the world that 3D views are learnt from.
//!
//! [`sample`] is the one entry for training: it never yields a combination that [`held_out`] keeps for the judge.

pub mod captions;
pub mod held_out;
mod render;
mod solid;
#[cfg(test)]
mod tests;

pub use captions::corpus;
pub use solid::Solid;

use super::{Colour, Rng};

/// How a surface answers to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Matte,
    /// With a highlight.
    Shiny,
}

impl Finish {
    pub const ALL: [Self; 2] = [Self::Matte, Self::Shiny];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Matte => "matte",
            Self::Shiny => "shiny",
        }
    }
}

/// A solid that stands upright in the middle of the world.
#[derive(Clone, Debug)]
pub struct SolidObject {
    pub solid: Solid,
    pub colour: Colour,
    pub finish: Finish,
    /// How large it is compared with others of its kind.
    scale: f32,
}

impl SolidObject {
    /// An object of this kind, of a size that varies a little.
    pub fn new(rng: &mut Rng, (solid, colour): held_out::Combination, finish: Finish) -> Self {
        Self { solid, colour, finish, scale: rng.range(0.92, 1.08) }
    }
}

/// An object and one of the captions that are true of it.
pub struct ViewsSample {
    pub caption: String,
    pub object: SolidObject,
}

/// Draws a training sample. Held-out combinations never come up.
pub fn sample(rng: &mut Rng) -> ViewsSample {
    let combination = held_out::combination(rng, false);
    let finish = rng.choose(&Finish::ALL);
    let object = SolidObject::new(rng, combination, finish);
    let mention_finish = rng.chance(0.75);
    ViewsSample { caption: captions::write(&object, mention_finish, rng), object }
}
