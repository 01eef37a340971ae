//! From the track of an object to what it does. Lengths are in units of the picture's smaller side.

use super::track::{Sighting, Track};

/// How far an object must get to move, and how far it must go up and down, or around, to bounce or circle.
const FAR: f32 = 0.15;
/// The least share of a move's path that brings it nearer to its end: a straight line has all.
const STRAIGHT: f32 = 0.7;
/// How much longer than its height the path of a bounce must be: more than once up and down.
const REPEATED: f32 = 2.2;
/// The most that bouncing may sway, and the least that a circle may be flattened, relative to its longer side.
const NARROW: f32 = 0.4;
/// How much of a turn around the middle of its path makes a circle, in degrees.
const AROUND: f32 = 240.0;
/// By what factor an object must change its extent to grow or shrink.
const RESIZED: f32 = 1.4;
/// How often a blinking object must vanish.
const VANISHED: usize = 2;
/// How far a spinning object must turn between frames, in degrees: on the whole, for single frames may mislead.
const TURNED: f32 = 7.0;
/// How much the turns between frames must be alike to make a spin, where equal ones are 1 and random ones about a third:
/// an outline that wavers turns to and fro.
const STEADY: f32 = 0.6;

/// All that an object of this shape does, and where it moves to, if it moves. Nothing: "still".
pub fn motions(track: &Track, shape: &str) -> (Vec<&'static str>, Option<&'static str>) {
    let seen: Vec<&Sighting> = track.visible().collect();
    let path = Path::new(&seen);
    let direction = path.direction();
    let motions: Vec<&str> = [
        (direction.is_some(), "moves"),
        (spins(&seen, shape), "spins"),
        (resized(&seen) > RESIZED, "grows"),
        (resized(&seen) < 1.0 / RESIZED, "shrinks"),
        (path.bounces(), "bounces"),
        (path.circles(), "circles"),
        (blinks(track), "blinks"),
    ]
    .into_iter()
    .filter_map(|(is_seen, name)| is_seen.then_some(name))
    .collect();
    (if motions.is_empty() { vec!["still"] } else { motions }, direction)
}

/// The centroids of the frames in which the object is there.
struct Path {
    points: Vec<[f32; 2]>,
    /// From the first to the last.
    net: [f32; 2],
    /// How far apart the farthest are, in x and in y.
    span: [f32; 2],
}

impl Path {
    fn new(seen: &[&Sighting]) -> Self {
        let points: Vec<[f32; 2]> = seen.iter().map(|sighting| sighting.at).collect();
        let along = |axis: usize| points.iter().map(move |point| point[axis]);
        let span = |axis| along(axis).fold(f32::MIN, f32::max) - along(axis).fold(f32::MAX, f32::min);
        let span = if points.is_empty() { [0.0; 2] } else { [span(0), span(1)] };
        let net = match (points.first(), points.last()) {
            (Some(first), Some(last)) => [last[0] - first[0], last[1] - first[1]],
            _ => [0.0; 2],
        };
        Self { points, net, span }
    }

    fn steps(&self) -> impl Iterator<Item = [f32; 2]> {
        self.points.windows(2).map(|pair| [pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]])
    }

    /// Where a straight move leads to.
    fn direction(&self) -> Option<&'static str> {
        let [right, down] = self.net;
        let distance = right.hypot(down);
        let length: f32 = self.steps().map(|step| step[0].hypot(step[1])).sum();
        let is_horizontal = right.abs() > down.abs();
        (distance > FAR && distance > STRAIGHT * length).then_some(match (is_horizontal, right > 0.0, down > 0.0) {
            (true, false, _) => "left",
            (true, true, _) => "right",
            (false, _, false) => "up",
            (false, _, true) => "down",
        })
    }

    /// Up and down, more than once.
    fn bounces(&self) -> bool {
        let [sway, height] = self.span;
        let length: f32 = self.steps().map(|step| step[1].abs()).sum();
        height > FAR && sway < NARROW * height && length > REPEATED * height
    }

    /// Around the middle of its own path, one way.
    fn circles(&self) -> bool {
        let [width, height] = self.span;
        let is_round = width.min(height) > FAR && width.min(height) > NARROW * width.max(height);
        let mean = |axis: usize| self.points.iter().map(|point| point[axis]).sum::<f32>() / self.points.len() as f32;
        let (x, y) = (mean(0), mean(1));
        let angles: Vec<f32> = self.points.iter().map(|p| (p[1] - y).atan2(p[0] - x).to_degrees()).collect();
        let turned: f32 = angles.windows(2).map(|pair| wrapped(pair[1] - pair[0], 360.0)).sum();
        is_round && turned.abs() > AROUND
    }
}

/// The extent at the end relative to the one at the beginning, each over a quarter of the frames.
fn resized(seen: &[&Sighting]) -> f32 {
    let quarter = (seen.len() / 4).max(1);
    let mean = |part: &[&Sighting]| part.iter().map(|sighting| sighting.extent).sum::<f32>();
    match seen {
        [] => 1.0,
        _ => mean(&seen[seen.len() - quarter..]) / mean(&seen[..quarter]),
    }
}

/// The turns from frame to frame are about the same, and not the small ones that uncertain edges make up.
fn spins(seen: &[&Sighting], shape: &str) -> bool {
    let Some(fold) = symmetry(shape) else { return false };
    let turns: Vec<(f32, f32)> = seen
        .windows(2)
        .map(|pair| (fold as f32 * (pair[1].angle(fold) - pair[0].angle(fold))).to_radians().sin_cos())
        .collect();
    // The circular mean: turns of a fold-th of a circle are none.
    let (sin, cos) = turns.iter().fold((0.0, 0.0), |sum, turn| (sum.0 + turn.0, sum.1 + turn.1));
    let steadiness = sin.hypot(cos) / turns.len().max(1) as f32;
    steadiness > STEADY && sin.atan2(cos).to_degrees().abs() / fold as f32 > TURNED
}

/// In how many parts of a turn a shape nearly repeats itself; nothing if all turns look alike.
fn symmetry(shape: &str) -> Option<u32> {
    match shape {
        "diamond" | "crescent" => Some(2),
        "triangle" | "heart" => Some(3),
        "square" | "cross" => Some(4),
        "star" => Some(5),
        "hexagon" => Some(6),
        _ => None,
    }
}

/// It was there and then was not, more than once.
fn blinks(track: &Track) -> bool {
    let vanishes = |pair: &&[Option<Sighting>]| pair[0].is_some() && pair[1].is_none();
    track.sightings.windows(2).filter(vanishes).count() >= VANISHED
}

/// The same angle nearest to zero, where a whole turn has so many degrees.
fn wrapped(angle: f32, turn: f32) -> f32 {
    angle - (angle / turn).round() * turn
}
