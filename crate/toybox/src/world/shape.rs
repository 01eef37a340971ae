//! The ten shapes, as outlines in a unit frame: x to the right, y down, about one unit from the middle to the edge.

use tiny_skia::{Path, PathBuilder};

/// A shape that captions can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Heart,
    Ring,
    Cross,
    Diamond,
    Crescent,
    Hexagon,
}

use Shape::*;

impl Shape {
    pub const ALL: [Self; 10] = [Circle, Square, Triangle, Star, Heart, Ring, Cross, Diamond, Crescent, Hexagon];

    /// The word for one.
    pub fn name(self) -> &'static str {
        match self {
            Circle => "circle",
            Square => "square",
            Triangle => "triangle",
            Star => "star",
            Heart => "heart",
            Ring => "ring",
            Cross => "cross",
            Diamond => "diamond",
            Crescent => "crescent",
            Hexagon => "hexagon",
        }
    }

    /// The word for several.
    pub fn plural(self) -> String {
        format!("{}{}", self.name(), if self == Cross { "es" } else { "s" })
    }

    /// The outline, to be filled by the even-odd rule. Its middle is the shape's centre of mass, nearly.
    pub(super) fn outline(self) -> Path {
        let mut path = PathBuilder::new();
        match self {
            Circle => path.push_circle(0.0, 0.0, 0.97),
            Square => polygon(&mut path, &[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]),
            Triangle => polygon(&mut path, &[(0.0, -1.1), (1.07, 0.75), (-1.07, 0.75)]),
            Star => polygon(&mut path, &star()),
            Heart => heart(&mut path),
            Ring => {
                path.push_circle(0.0, 0.0, 1.0);
                path.push_circle(0.0, 0.0, 0.54);
            }
            Cross => polygon(&mut path, &cross()),
            Diamond => polygon(&mut path, &[(0.0, -1.08), (0.77, 0.0), (0.0, 1.08), (-0.77, 0.0)]),
            Crescent => polygon(&mut path, &crescent()),
            Hexagon => polygon(&mut path, &std::array::from_fn::<_, 6, _>(|i| on_circle(1.05, i as f32 * 60.0))),
        }
        path.finish().expect("every outline has finite, distinct points")
    }
}

/// The point at `degrees` clockwise from the positive x axis.
fn on_circle(radius: f32, degrees: f32) -> (f32, f32) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    (radius * cos, radius * sin)
}

fn polygon(path: &mut PathBuilder, points: &[(f32, f32)]) {
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
}

fn star() -> [(f32, f32); 10] {
    std::array::from_fn(|i| on_circle(if i % 2 == 0 { 1.14 } else { 0.5 }, i as f32 * 36.0 - 90.0))
}

fn cross() -> [(f32, f32); 12] {
    let (arm, reach) = (0.33, 1.0);
    let quarter = [(arm, -reach), (arm, -arm), (reach, -arm)];
    std::array::from_fn(|i| {
        let (x, y) = quarter[i % 3];
        [(x, y), (-y, x), (-x, -y), (y, -x)][i / 3]
    })
}

fn heart(path: &mut PathBuilder) {
    path.move_to(0.0, 1.0);
    path.cubic_to(-0.4, 0.68, -1.06, 0.25, -1.06, -0.32);
    path.cubic_to(-1.06, -0.7, -0.8, -0.92, -0.53, -0.92);
    path.cubic_to(-0.28, -0.92, -0.08, -0.78, 0.0, -0.52);
    path.cubic_to(0.08, -0.78, 0.28, -0.92, 0.53, -0.92);
    path.cubic_to(0.8, -0.92, 1.06, -0.7, 1.06, -0.32);
    path.cubic_to(1.06, 0.25, 0.4, 0.68, 0.0, 1.0);
    path.close();
}

/// A disc without a smaller disc at its right, moved to the right so that its mass lies in the middle.
fn crescent() -> Vec<(f32, f32)> {
    const STEPS: usize = 64;
    let (outer, inner, offset, shift) = (1.06f32, 0.88f32, 0.54f32, 0.38f32);
    // Where the two circles meet, measured from the centre of each.
    let meet_x = (outer * outer - inner * inner + offset * offset) / (2.0 * offset);
    let outer_angle = (meet_x / outer).acos().to_degrees();
    let inner_angle = ((meet_x - offset) / inner).acos().to_degrees();
    let arc = |radius, centre: f32, from: f32, to: f32| {
        (0..STEPS).map(move |i| {
            let (x, y) = on_circle(radius, from + (to - from) * i as f32 / STEPS as f32);
            (x + centre + shift, y)
        })
    };
    let back = arc(outer, 0.0, outer_angle, 360.0 - outer_angle);
    back.chain(arc(inner, offset, 360.0 - inner_angle, inner_angle)).collect()
}
