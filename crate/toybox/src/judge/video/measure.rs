//! From frames to named attributes.

use serde::Serialize;

use super::motion::motions;
use super::track::{Sighting, Track};

/// What a clip shows.
#[derive(Clone, Debug, Serialize)]
pub struct VideoMeasurement {
    pub background: &'static str,
    /// "nothing" where no object is seen, as for the colour.
    pub shape: &'static str,
    pub colour: &'static str,
    /// All that the object does, or "still".
    pub motions: Vec<&'static str>,
    /// Where it moves to, if it moves.
    pub direction: Option<&'static str>,
}

/// Measures a clip, each frame of `width * height` pixels with three bytes each.
///
/// # Panics
/// If there are no frames, or one is not of this size.
pub fn measure(frames: &[Vec<u8>], width: u32, height: u32) -> VideoMeasurement {
    let track = Track::new(frames, width, height);
    // A shape is told best where it happens to stand upright.
    let likeness = |sighting: &&Sighting| sighting.object.likeness;
    let best = track.visible().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let shape = best.map_or("nothing", |sighting| sighting.object.shape);
    let (motions, direction) = motions(&track, shape);
    VideoMeasurement {
        background: most_frequent(track.backgrounds.iter().copied()).expect("a clip has frames"),
        shape,
        colour: most_frequent(track.visible().map(|sighting| sighting.object.colour)).unwrap_or("nothing"),
        motions,
        direction,
    }
}

/// The name that comes up most often.
fn most_frequent(names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let names: Vec<_> = names.collect();
    names.iter().copied().max_by_key(|name| names.iter().filter(|other| *other == name).count())
}
