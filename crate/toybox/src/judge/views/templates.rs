//! The judge's own solids, seen from all sides: which pixels they cover, and how they face the light.

use std::sync::LazyLock;

use flagdit::output::mesh::Camera;

use super::outline::Outline;

/// The words for the solids, in the order of their templates.
pub const SOLIDS: [&str; 8] = ["cube", "sphere", "cone", "cylinder", "torus", "pyramid", "prism", "capsule"];
/// From how many azimuths each is known.
pub const AZIMUTHS: usize = 72;
/// Pixels along each side.
const SIDE: usize = 64;
/// Where the light comes from: azimuth and height in degrees.
const LIGHT: [f32; 2] = [45.0, 35.0];

/// A solid from one azimuth.
pub struct Template {
    mask: Vec<bool>,
    /// The cosine between the surface and the light.
    facing: Vec<f32>,
    area: f32,
    centre: [f32; 2],
}

/// A solid from the azimuth that is nearest.
pub fn template(solid: usize, degrees: f32) -> &'static Template {
    static ALL: LazyLock<Vec<Template>> = LazyLock::new(|| {
        let places = (0..SOLIDS.len()).flat_map(|solid| (0..AZIMUTHS).map(move |azimuth| (solid, azimuth)));
        places.map(|(solid, azimuth)| Template::new(solid, 360.0 * azimuth as f32 / AZIMUTHS as f32)).collect()
    });
    let azimuth = (degrees / 360.0 * AZIMUTHS as f32).round() as usize % AZIMUTHS;
    &ALL[solid * AZIMUTHS + azimuth]
}

/// How well an outline matches a template.
pub struct Match {
    /// The common part of both, as a part of what either covers.
    pub overlap: f32,
    /// How much larger than the template the object is.
    pub scale: f32,
}

impl Template {
    fn new(solid: usize, azimuth: f32) -> Self {
        let camera = Camera::at_azimuth(azimuth);
        let place = |at: usize| (at as f32 + 0.5) * 2.0 / SIDE as f32 - 1.0;
        let hits: Vec<_> = (0..SIDE * SIDE).map(|i| hit(solid, camera.ray(place(i % SIDE), place(i / SIDE)))).collect();
        let members = hits.iter().enumerate().filter(|(_, hit)| hit.is_some());
        let (area, x, y) = members.fold((0.0, 0.0, 0.0), |(area, x, y), (i, _)| {
            (area + 1.0, x + (i % SIDE) as f32 + 0.5, y + (i / SIDE) as f32 + 0.5)
        });
        let facing = hits.iter().map(|hit| hit.map_or(0.0, |point| facing(solid, point))).collect();
        Self { mask: hits.iter().map(Option::is_some).collect(), facing, area, centre: [x / area, y / area] }
    }

    /// How well an outline matches, wherever it is and however large.
    pub fn compare(&self, outline: &Outline) -> Match {
        let scale = (outline.area / self.area).sqrt();
        let both = (0..outline.mask.len()).filter(|&i| outline.mask[i] && self.seen(outline, scale, i).is_some());
        let both = both.count() as f32;
        let unit = SIDE as f32 / outline.width.min(outline.height) as f32;
        Match { overlap: both / (2.0 * outline.area - both).max(1.0), scale: scale * unit }
    }

    /// For the pixels of `inside` that the template covers too: which pixel, and how it faces the light.
    pub fn shading(&self, outline: &Outline, inside: &[usize]) -> impl Iterator<Item = (usize, f32)> {
        let scale = (outline.area / self.area).sqrt();
        inside.iter().filter_map(move |&i| Some((i, self.facing[self.seen(outline, scale, i)?])))
    }

    /// The pixel of the template under a pixel of the outline, if it is covered.
    fn seen(&self, outline: &Outline, scale: f32, index: usize) -> Option<usize> {
        let at = [index % outline.width, index / outline.width].map(|at| at as f32 + 0.5);
        let [x, y] = std::array::from_fn(|axis| self.centre[axis] + (at[axis] - outline.centre[axis]) / scale);
        let inside = (0.0..SIDE as f32).contains(&x) && (0.0..SIDE as f32).contains(&y);
        let own = inside.then(|| y as usize * SIDE + x as usize)?;
        self.mask[own].then_some(own)
    }
}

/// Where a ray first enters the solid.
fn hit(solid: usize, (start, direction): ([f32; 3], [f32; 3])) -> Option<[f32; 3]> {
    const STRIDE: f32 = 0.04;
    let at = |along: f32| std::array::from_fn(|i| start[i] + along * direction[i]);
    let inside = |along: f32| excess(solid, at(along)) < 0.0;
    let first = (0..100).map(|step| STRIDE * step as f32 + 0.6).find(|&along| inside(along))?;
    let (mut outer, mut inner) = (first - STRIDE, first);
    for _ in 0..6 {
        let middle = (outer + inner) / 2.0;
        if inside(middle) { inner = middle } else { outer = middle }
    }
    Some(at(outer))
}

fn facing(solid: usize, point: [f32; 3]) -> f32 {
    let slope = |axis: usize| {
        let moved = |by: f32| excess(solid, std::array::from_fn(|i| point[i] + if i == axis { by } else { 0.0 }));
        moved(0.01) - moved(-0.01)
    };
    let gradient: [f32; 3] = std::array::from_fn(slope);
    let [azimuth, height] = LIGHT.map(f32::to_radians);
    let light = [height.cos() * azimuth.sin(), height.sin(), height.cos() * azimuth.cos()];
    let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    dot(gradient, light) / dot(gradient, gradient).sqrt().max(1e-6)
}

/// Negative inside of the solid. It grows outwards, but need not be a distance.
fn excess(solid: usize, [x, y, z]: [f32; 3]) -> f32 {
    let turned = |degrees: f32| {
        let (sin, cos) = degrees.to_radians().sin_cos();
        [cos * x - sin * z, sin * x + cos * z]
    };
    let radius = x.hypot(z);
    match SOLIDS[solid] {
        "cube" => turned(30.0).into_iter().chain([y]).fold(0.0, |most: f32, axis| most.max(axis.abs())) - 0.56,
        "sphere" => radius.hypot(y) - 0.85,
        "cone" => (radius - 0.48 * (0.91 - y)).max(-0.63 - y),
        "cylinder" => (radius - 0.6).max(y.abs() - 0.71),
        "torus" => (radius - 0.71).hypot(y) - 0.24,
        "pyramid" => {
            let [x, z] = turned(30.0);
            (x.abs().max(z.abs()) - 0.48 * (0.85 - y)).max(-0.49 - y)
        }
        "prism" => {
            let [x, z] = turned(20.0);
            (0.866 * x.abs() - 0.5 * z).max(z).max(y.abs() - 0.19) - 0.4
        }
        _ => radius.hypot((y.abs() - 0.5).max(0.0)) - 0.43,
    }
}
