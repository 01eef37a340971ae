//! The eight solids, as signed distances in a unit frame: y up, nothing farther than one from the middle.

/// A solid that captions can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solid {
    Cube,
    Sphere,
    Cone,
    Cylinder,
    Torus,
    Pyramid,
    Prism,
    Capsule,
}

use Solid::*;

/// Across how much of the difference between two distances the edge between two faces is rounded off.
const ROUNDING: f32 = 0.2;

impl Solid {
    pub const ALL: [Self; 8] = [Cube, Sphere, Cone, Cylinder, Torus, Pyramid, Prism, Capsule];

    /// The word for one.
    pub fn name(self) -> &'static str {
        match self {
            Cube => "cube",
            Sphere => "sphere",
            Cone => "cone",
            Cylinder => "cylinder",
            Torus => "torus",
            Pyramid => "pyramid",
            Prism => "prism",
            Capsule => "capsule",
        }
    }

    /// By how many degrees it is turned about the upright axis, so that no view meets a face head-on.
    pub(super) fn yaw(self) -> f32 {
        match self {
            Cube | Pyramid => 30.0,
            Prism => 20.0,
            Sphere | Cone | Cylinder | Torus | Capsule => 0.0,
        }
    }

    /// At most how far it is to the surface; negative inside.
    #[inline]
    pub(super) fn distance(self, [x, y, z]: [f32; 3]) -> f32 {
        match self {
            Cube => rounded_max(rounded_max(x.abs() - 0.57, z.abs() - 0.57), y.abs() - 0.57),
            Sphere => length(x, y, z) - 0.85,
            Cone => rounded_max(0.9 * length(x, 0.0, z) + 0.436 * (y - 0.92), -0.64 - y),
            Cylinder => rounded_max(length(x, 0.0, z) - 0.6, y.abs() - 0.72),
            Torus => length(length(x, 0.0, z) - 0.71, y, 0.0) - 0.24,
            Pyramid => {
                let slope = 0.436 * (y - 0.86);
                rounded_max(rounded_max(0.9 * x.abs() + slope, 0.9 * z.abs() + slope), -0.5 - y)
            }
            Prism => {
                let slanted = 0.866 * x.abs() - 0.5 * z - 0.41;
                rounded_max(rounded_max(slanted, z - 0.41), y.abs() - 0.6)
            }
            Capsule => length(x, y - y.clamp(-0.5, 0.5), z) - 0.43,
        }
    }
}

fn length(x: f32, y: f32, z: f32) -> f32 {
    (x * x + y * y + z * z).sqrt()
}

/// The larger of two distances, and a little more where they are nearly equal (Inigo Quilez's polynomial).
fn rounded_max(a: f32, b: f32) -> f32 {
    let near = (ROUNDING - (a - b).abs()).max(0.0);
    a.max(b) + near * near / (4.0 * ROUNDING)
}
