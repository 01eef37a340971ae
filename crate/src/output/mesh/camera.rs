//! The cameras of a set of views: all look at the origin from one height, evenly spaced around the upright axis.
//!
//! World: x to the right of view 0, y up, z towards view 0. Seen from above, the views go round counter-clockwise.

use super::dot;

/// How many units of the world half of a picture's smaller side shows; objects have a radius of about one.
pub const HALF_EXTENT: f32 = 1.3;
/// How far above the horizon the cameras stand, in degrees.
pub const ELEVATION: f32 = 30.0;
/// How far from the origin rays start: before anything that a picture shows.
const DISTANCE: f32 = 2.0 * HALF_EXTENT;

/// An orthographic camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    right: [f32; 3],
    up: [f32; 3],
    /// From the origin to the camera.
    back: [f32; 3],
}

impl Camera {
    /// The camera of view `view` of `views`.
    pub fn new(view: usize, views: usize) -> Self {
        Self::at_azimuth(360.0 * view as f32 / views as f32)
    }

    /// The camera that is turned by so many degrees from view 0.
    pub fn at_azimuth(degrees: f32) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (rise, reach) = ELEVATION.to_radians().sin_cos();
        Self { right: [cos, 0.0, -sin], up: [-rise * sin, reach, -rise * cos], back: [reach * sin, rise, reach * cos] }
    }

    /// Where a point is seen: x to the right and y down, from −1 to 1 along the picture's smaller side.
    pub fn project(&self, point: [f32; 3]) -> [f32; 2] {
        [dot(point, self.right) / HALF_EXTENT, -dot(point, self.up) / HALF_EXTENT]
    }

    /// Where a point is seen in a picture of this size, in pixels from its upper left corner.
    pub fn pixel(&self, point: [f32; 3], width: usize, height: usize) -> [f32; 2] {
        let [u, v] = self.project(point);
        let half = width.min(height) as f32 / 2.0;
        [width as f32 / 2.0 + half * u, height as f32 / 2.0 + half * v]
    }

    /// The direction in which the camera looks, of length one.
    pub fn direction(&self) -> [f32; 3] {
        self.back.map(|axis| -axis)
    }

    /// The ray of a place in the picture, as [`Camera::project`] states places: where it starts and its direction.
    pub fn ray(&self, u: f32, v: f32) -> ([f32; 3], [f32; 3]) {
        let (x, y) = (u * HALF_EXTENT, -v * HALF_EXTENT);
        let start = std::array::from_fn(|i| x * self.right[i] + y * self.up[i] + DISTANCE * self.back[i]);
        (start, self.direction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn view_0_has_x_to_the_right_and_y_up() {
        let camera = Camera::new(0, 8);
        assert!(near(&camera.project([HALF_EXTENT, 0.0, 0.0]), &[1.0, 0.0]));
        assert!(camera.project([0.0, 1.0, 0.0])[1] < -0.6);
        assert!(near(&camera.pixel([0.0; 3], 128, 64), &[64.0, 32.0]));
        assert!(near(&camera.pixel([HALF_EXTENT, 0.0, 0.0], 128, 64), &[96.0, 32.0]));
    }

    /// Seen from above the camera goes from the front (z) to the right (x).
    #[test]
    fn views_go_round_counter_clockwise() {
        assert!(near(&Camera::new(2, 8).project([0.0, 0.0, -HALF_EXTENT]), &[1.0, 0.0]));
        assert!(Camera::new(2, 8).direction()[0] < -0.8);
    }

    #[test]
    fn a_ray_meets_what_is_seen_there() {
        let camera = Camera::new(3, 7);
        let (start, direction) = camera.ray(0.3, -0.7);
        for along in [0.0, 2.5] {
            let point = std::array::from_fn(|i| start[i] + along * direction[i]);
            assert!(near(&camera.project(point), &[0.3, -0.7]));
        }
    }
}
