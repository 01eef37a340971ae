//! The world that the toybox model is trained on: scenes, their captions and their pictures, all from a seed.
//!
//! [`sample`] is the one entry for training: it never yields a combination that [`held_out`] keeps for the judge.

pub mod captions;
pub mod held_out;
pub mod palette;
mod render;
pub mod rng;
pub mod scene;
pub mod shape;
pub mod sound;
pub mod video;
pub mod views;

pub use palette::Colour;
pub use rng::Rng;
pub use scene::{Background, Fill, Layout, Object, Place, Relation, Scene, Size};
pub use shape::Shape;

use captions::Mention;

/// A scene and one of the captions that are true of it.
pub struct Sample {
    pub caption: String,
    pub scene: Scene,
}

/// Which part of the world training draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curriculum {
    /// One solid object on a plain background; a third of the captions name the shape alone.
    Simple,
    /// Everything: relations, counts, fills, gradients, night and grass; single objects remain the majority.
    Full,
}

/// Draws a training sample. Held-out combinations never come up.
pub fn sample(rng: &mut Rng, curriculum: Curriculum) -> Sample {
    match curriculum {
        Curriculum::Simple if rng.chance(0.33) => shape_lesson(rng),
        Curriculum::Simple => single(rng, false),
        Curriculum::Full => match rng.uniform() {
            u if u < 0.04 => shape_lesson(rng),
            u if u < 0.72 => single(rng, true),
            u if u < 0.92 => {
                let (subject, relation, object) = held_out::pair(rng, false);
                let scene = Scene::pair(rng, subject, relation, object).varied(rng);
                written(rng, scene)
            }
            _ => {
                let (shape, colour) = held_out::combination(rng, false);
                let count = 2 + rng.below(2);
                let scene = Scene::count(rng, shape, colour, count).varied(rng);
                written(rng, scene)
            }
        },
    }
}

fn single(rng: &mut Rng, varied: bool) -> Sample {
    let (shape, colour) = held_out::combination(rng, false);
    let scene = Scene::single(rng, shape, colour);
    let scene = if varied { scene.varied(rng) } else { scene };
    written(rng, scene)
}

/// A large object in the centre whose caption says only what it is, so that words for shapes are learnt early.
fn shape_lesson(rng: &mut Rng) -> Sample {
    let (shape, colour) = held_out::combination(rng, false);
    let scene = Scene::single_at(rng, shape, colour, Size::Large, Place::Centre);
    let caption = captions::write(&scene, Mention::SHAPE_ONLY, rng);
    Sample { caption, scene }
}

fn written(rng: &mut Rng, scene: Scene) -> Sample {
    let mention = Mention::sample(rng, &scene);
    Sample { caption: captions::write(&scene, mention, rng), scene }
}
