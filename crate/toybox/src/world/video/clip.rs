//! A clip, before it has a size in pixels or a number of frames.

use super::motion::{Direction, Motion, Pose};
use crate::world::{Colour, Object, Place, Rng, Scene, Shape, Size};

/// The farthest that an outline reaches from its middle, in units of half an extent: nearly upright, and in any turn.
const REACH: f32 = 1.15;
const SPINNING_REACH: f32 = 1.32;
/// What stays free between an object and the edge, as a fraction of the picture's smaller side.
const MARGIN: f32 = 0.03;

/// One object, its background and its motion.
#[derive(Clone, Debug)]
pub struct Clip {
    pub motion: Motion,
    /// The object at its largest, wherever it is, and what lies behind it.
    pub scene: Scene,
    /// Where the object starts and where it is bound, from -1 for as far left or up as there is room to 1.
    from: (f32, f32),
    to: (f32, f32),
}

impl Clip {
    /// Draws a clip of an object that does this.
    pub fn sample(rng: &mut Rng, shape: Shape, colour: Colour, motion: Motion) -> Self {
        let resizes = matches!(motion, Motion::Grows | Motion::Shrinks);
        let size = if resizes || rng.chance(0.5) { Size::Large } else { Size::Small };
        let mut scene = Scene::single_at(rng, shape, colour, size, Place::Centre);
        // Smaller than in pictures, so that there is room to move; what stays where it is needs none.
        scene.objects[0].extent = match size {
            Size::Large if resizes || motion == Motion::Spins => rng.range(0.52, 0.58),
            Size::Small => rng.range(0.28, 0.32),
            Size::Large => rng.range(0.42, 0.47),
        };
        if motion.spins() {
            // Upright at first, so that every frame shows the turn that its place in the clip says.
            scene.objects[0].angle = 0.0;
        }
        let (from, to) = sample_way(rng, motion);
        Self { motion, scene, from, to }
    }

    /// What the clip is about.
    pub fn object(&self) -> &Object {
        &self.scene.objects[0]
    }

    /// So many frames as RGB bytes, row by row: `width * height * 3` each. Any number of frames shows the whole motion.
    ///
    /// # Panics
    /// If a side is zero.
    pub fn render(&self, width: u32, height: u32, frames: usize) -> Vec<Vec<u8>> {
        let last = frames.saturating_sub(1).max(1) as f32;
        (0..frames).map(|frame| self.scene_at(frame as f32 / last, width, height).render(width, height)).collect()
    }

    /// The scene when the share `phase` of the clip is over, for a picture of this size.
    fn scene_at(&self, phase: f32, width: u32, height: u32) -> Scene {
        let pose = self.motion.pose(phase);
        let mut scene = self.scene.clone();
        let object = &mut scene.objects[0];
        object.centre = self.centre(&pose, width as f32, height as f32);
        object.extent *= pose.scale;
        object.angle += pose.turn;
        if !pose.is_visible {
            scene.objects.clear();
        }
        scene
    }

    /// The object's middle as fractions of width and height. It never leaves the picture.
    fn centre(&self, pose: &Pose, width: f32, height: f32) -> (f32, f32) {
        let reach = if self.motion.spins() { SPINNING_REACH } else { REACH };
        let reach = (self.object().extent / 2.0 * reach + MARGIN) * width.min(height);
        let room = ((width / 2.0 - reach).max(0.0), (height / 2.0 - reach).max(0.0));
        let (x, y) = match pose.orbit {
            Some(degrees) => {
                let (sin, cos) = degrees.to_radians().sin_cos();
                let radius = room.0.min(room.1);
                (radius * sin, -radius * cos)
            }
            None => {
                let on_way = |from: f32, to: f32| from + (to - from) * pose.way;
                (room.0 * on_way(self.from.0, self.to.0), room.1 * on_way(self.from.1, self.to.1))
            }
        };
        (0.5 + x / width, 0.5 + y / height)
    }
}

/// Where an object starts and where it is bound. Half of the moves begin at the far side at the middle height.
fn sample_way(rng: &mut Rng, motion: Motion) -> ((f32, f32), (f32, f32)) {
    if let Some(direction) = motion.direction() {
        let is_plain = rng.chance(0.5);
        let (start, end) = if is_plain { (1.0, 1.0) } else { (rng.range(0.75, 1.0), rng.range(0.75, 1.0)) };
        let across = if is_plain { rng.range(-0.1, 0.1) } else { rng.range(-1.0, 1.0) };
        return match direction {
            Direction::Left => ((start, across), (-end, across)),
            Direction::Right => ((-start, across), (end, across)),
            Direction::Up => ((across, start), (across, -end)),
            Direction::Down => ((across, -start), (across, end)),
        };
    }
    let is_central = rng.chance(0.5);
    let mut near = || if is_central { rng.range(-0.1, 0.1) } else { rng.range(-0.9, 0.9) };
    let (x, y) = (near(), near());
    match motion {
        Motion::Bounces => ((x, 1.0), (x, -1.0)),
        _ => ((x, y), (x, y)),
    }
}
