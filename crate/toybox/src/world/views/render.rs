//! Draws solids by sphere tracing, under one light that stands still while the camera goes round.

use flagdit::output::mesh::Camera;

use super::{Finish, Solid, SolidObject};

/// Where the light comes from: its azimuth seen from view 0 and its height, in degrees.
const LIGHT: (f32, f32) = (45.0, 35.0);
/// Where there are edges, a pixel is the mean of this many samples in x and in y.
const SAMPLES: u32 = 2;
/// By how many levels neighbours differ at an edge.
const EDGE: f32 = 10.0;
/// A ray that is not near a surface after so many steps grazes it.
const STEPS: usize = 40;
/// How near to a surface a ray has met it.
const NEAR: f32 = 2e-3;
/// How sharp a highlight is.
const SHARPNESS: i32 = 16;
/// How much of a highlight's middle is white. The rest keeps it apart from the background.
const HIGHLIGHT: f32 = 0.65;

const WHITE: [f32; 3] = [255.0; 3];

impl SolidObject {
    /// The pictures from `views` azimuths as RGB bytes, row by row; view k is seen from 360·k/views degrees.
    pub fn render(&self, width: u32, height: u32, views: usize) -> Vec<Vec<u8>> {
        (0..views).map(|view| self.render_from(&Camera::new(view, views), width, height)).collect()
    }

    /// One sample a pixel, and more where it differs from a neighbour: edges are few.
    fn render_from(&self, camera: &Camera, width: u32, height: u32) -> Vec<u8> {
        let frame = Frame::new(self, camera);
        let half = width.min(height) as f32 / 2.0;
        let colour_at =
            |x: f32, y: f32| frame.colour((x - width as f32 / 2.0) / half, (y - height as f32 / 2.0) / half);
        let pixels = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let middles: Vec<_> = pixels().map(|(x, y)| colour_at(x as f32 + 0.5, y as f32 + 0.5)).collect();
        let middle = |x: u32, y: u32| middles[(y * width + x) as usize];
        let edge = |x: u32, y: u32| {
            let columns = x.saturating_sub(1)..=(x + 1).min(width - 1);
            let rows = y.saturating_sub(1)..=(y + 1).min(height - 1);
            let own = middle(x, y);
            let differs = |other: [f32; 3]| (0..3).any(|c| (own[c] - other[c]).abs() > EDGE);
            columns.flat_map(|x| rows.clone().map(move |y| (x, y))).any(|(x, y)| differs(middle(x, y)))
        };
        let samples =
            (0..SAMPLES * SAMPLES).map(|i| [i % SAMPLES, i / SAMPLES].map(|at| (at as f32 + 0.5) / SAMPLES as f32));
        let mean = |x: u32, y: u32| {
            let colours = samples.clone().map(|[right, down]| colour_at(x as f32 + right, y as f32 + down));
            let sum = colours.fold([0.0; 3], |sum, colour| std::array::from_fn(|c| sum[c] + colour[c]));
            sum.map(|channel: f32| channel / (SAMPLES * SAMPLES) as f32)
        };
        let colours = pixels().map(|(x, y)| if edge(x, y) { mean(x, y) } else { middle(x, y) });
        colours.flatten().map(|channel| (channel + 0.5) as u8).collect()
    }
}

/// A camera and the light as the object's own unit frame has them.
struct Frame {
    solid: Solid,
    base: [f32; 3],
    origin: [f32; 3],
    right: [f32; 3],
    down: [f32; 3],
    direction: [f32; 3],
    light: [f32; 3],
    /// Halfway between the light and the eye.
    halfway: [f32; 3],
    /// How white the middle of a highlight is.
    highlight: f32,
}

impl Frame {
    fn new(object: &SolidObject, camera: &Camera) -> Self {
        let (sin, cos) = object.solid.yaw().to_radians().sin_cos();
        let turned = |[x, y, z]: [f32; 3]| [cos * x - sin * z, y, sin * x + cos * z];
        let unit = |point: [f32; 3]| turned(point).map(|axis| axis / object.scale);
        let (origin, direction) = camera.ray(0.0, 0.0);
        let step = |(point, _): ([f32; 3], _)| unit(std::array::from_fn(|i| point[i] - origin[i]));
        let (azimuth, height) = (LIGHT.0.to_radians(), LIGHT.1.to_radians());
        let light = turned([height.cos() * azimuth.sin(), height.sin(), height.cos() * azimuth.cos()]);
        let looking = turned(direction);
        let highlight = match object.finish {
            Finish::Matte => 0.0,
            // None against the light, where the whole of a level face would be as white as the background.
            Finish::Shiny => HIGHLIGHT * (2.0 * (0.3 - dot(light, looking))).clamp(0.0, 1.0),
        };
        Self {
            solid: object.solid,
            base: object.colour.rgb().map(f32::from),
            origin: unit(origin),
            right: step(camera.ray(1.0, 0.0)),
            down: step(camera.ray(0.0, 1.0)),
            direction: looking,
            light,
            halfway: normalised(std::array::from_fn(|i| light[i] - looking[i])),
            highlight,
        }
    }

    fn colour(&self, u: f32, v: f32) -> [f32; 3] {
        let start = std::array::from_fn(|i| self.origin[i] + u * self.right[i] + v * self.down[i]);
        match self.trace(start) {
            Some(point) => self.shade(self.normal(point)),
            None => WHITE,
        }
    }

    /// Where the ray from `start` meets the surface. Only the unit sphere is searched.
    fn trace(&self, start: [f32; 3]) -> Option<[f32; 3]> {
        let middle = -dot(start, self.direction);
        let inside = 1.0 - (dot(start, start) - middle * middle);
        if inside <= 0.0 {
            return None;
        }
        let (mut along, end) = (middle - inside.sqrt(), middle + inside.sqrt());
        let convex = self.solid != Solid::Torus;
        let (mut stride, mut previous) = (0.0, f32::INFINITY);
        for _ in 0..STEPS {
            let point = std::array::from_fn(|i| start[i] + along * self.direction[i]);
            let distance = self.solid.distance(point);
            if distance < NEAR {
                return Some(point);
            }
            stride = match previous - distance {
                // Along a ray the distance to a convex solid is a convex function: it never falls again once it rises,
                // and a secant meets zero before the surface, but not before the distance itself would lead.
                nearer if convex && nearer <= 0.0 => return None,
                nearer if convex && nearer.is_finite() => distance * stride / nearer,
                _ => distance,
            };
            previous = distance;
            along += stride;
            if along > end {
                return None;
            }
        }
        None
    }

    /// The gradient of the distance, from the corners of a small tetrahedron.
    fn normal(&self, point: [f32; 3]) -> [f32; 3] {
        const CORNERS: [[f32; 3]; 4] = [[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]];
        let mut sum = [0.0; 3];
        for corner in CORNERS {
            let distance = self.solid.distance(std::array::from_fn(|i| point[i] + 1e-2 * corner[i]));
            sum.iter_mut().zip(corner).for_each(|(sum, axis)| *sum += distance * axis);
        }
        normalised(sum)
    }

    /// Brightness falls evenly from where a surface faces the light to where it turns its back, so that every direction
    /// looks different; the darker a colour is, the more is added, for black cannot be made brighter by multiplying.
    fn shade(&self, normal: [f32; 3]) -> [f32; 3] {
        let lift = 17.0 * (1.0 - self.base.iter().fold(0.0, |most: f32, &channel| most.max(channel)) / 255.0).powi(2);
        let facing = dot(normal, self.light);
        let highlight = self.highlight * dot(normal, self.halfway).max(0.0).powi(SHARPNESS);
        self.base.map(|channel| {
            let diffuse = (channel * (0.88 + 0.24 * facing) + lift * (1.0 + facing)).min(255.0);
            diffuse + highlight * (255.0 - diffuse)
        })
    }
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn normalised(vector: [f32; 3]) -> [f32; 3] {
    let length = dot(vector, vector).sqrt().max(f32::MIN_POSITIVE);
    vector.map(|axis| axis / length)
}
