//! What an object does, as a function of how much of the clip is over.

use std::f32::consts::TAU;

use crate::world::{Rng, Shape};

/// How far a spinning object turns in a clip, in degrees: half a turn. Over eight frames that is 26° a frame, less than
/// half of the 60° after which a hexagon looks the same again: from 30° on an eye would see it turn the other way.
const TURN: f32 = 180.0;
/// How often a bouncing object goes up and comes down again.
const BOUNCES: f32 = 2.0;
/// How often a blinking object is seen and how often not.
const BLINKS: f32 = 4.0;
/// The extent that growing begins with and shrinking ends with, relative to the other end.
const SMALLEST: f32 = 0.4;

/// Where something moves to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Left,
    Right,
    Up,
    Down,
}

impl Direction {
    pub const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Up, Self::Down];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What an object does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Straight, across most of the picture.
    Moves(Direction),
    /// Both at once.
    MovesAndSpins(Direction),
    /// Clockwise, in its place.
    Spins,
    Grows,
    Shrinks,
    /// Up and down from the bottom.
    Bounces,
    /// Goes once around the middle of the picture, clockwise from the top.
    Circles,
    /// Is there, is not there, is there again.
    Blinks,
}

/// An object's state at one moment, relative to how it rests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    /// How far it is on the way from where it starts to where it is bound, from 0 to 1.
    pub way: f32,
    /// Degrees clockwise around the middle of the picture from its top, for what circles.
    pub orbit: Option<f32>,
    /// Factor on its extent.
    pub scale: f32,
    /// Added to its angle, in degrees.
    pub turn: f32,
    pub is_visible: bool,
}

impl Motion {
    /// Draws a motion, of which the share `spins` spins, more than half of it while it moves. Of the others half move.
    pub fn sample(rng: &mut Rng, spins: f32) -> Self {
        let direction = rng.choose(&Direction::ALL);
        let moves = 0.52 * (1.0 - spins);
        match rng.uniform() {
            u if u < moves => Self::Moves(direction),
            u if u < moves + 0.58 * spins => Self::MovesAndSpins(direction),
            u if u < moves + spins => Self::Spins,
            _ => rng.choose(&[Self::Grows, Self::Shrinks, Self::Bounces, Self::Circles, Self::Blinks]),
        }
    }

    /// Where it moves to, if it moves straight.
    pub fn direction(self) -> Option<Direction> {
        match self {
            Self::Moves(direction) | Self::MovesAndSpins(direction) => Some(direction),
            _ => None,
        }
    }

    /// Whether it spins, alone or while it moves.
    pub fn spins(self) -> bool {
        matches!(self, Self::Spins | Self::MovesAndSpins(_))
    }

    /// Whether it can be seen on a shape: nobody sees a circle or a ring spin.
    pub fn shows_on(self, shape: Shape) -> bool {
        !(self.spins() && matches!(shape, Shape::Circle | Shape::Ring))
    }

    /// The state when the share `phase` of the clip is over, from 0 for the first frame to 1 for the last.
    pub(super) fn pose(self, phase: f32) -> Pose {
        let rest = Pose { way: 0.0, orbit: None, scale: 1.0, turn: 0.0, is_visible: true };
        let turn = TURN * phase;
        match self {
            Self::Moves(_) => Pose { way: phase, ..rest },
            Self::MovesAndSpins(_) => Pose { way: phase, turn, ..rest },
            Self::Spins => Pose { turn, ..rest },
            Self::Grows => Pose { scale: SMALLEST + (1.0 - SMALLEST) * phase, ..rest },
            Self::Shrinks => Pose { scale: 1.0 + (SMALLEST - 1.0) * phase, ..rest },
            Self::Bounces => Pose { way: (TAU / 2.0 * BOUNCES * phase).sin().abs(), ..rest },
            Self::Circles => Pose { orbit: Some(360.0 * phase), ..rest },
            Self::Blinks => {
                let spell = (2.0 * BLINKS * phase).min(2.0 * BLINKS - 1.0) as u32;
                Pose { is_visible: spell.is_multiple_of(2), ..rest }
            }
        }
    }
}
