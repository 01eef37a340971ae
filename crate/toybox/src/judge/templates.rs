//! The judge's own idea of each shape, and how well a silhouette matches it.

use std::sync::LazyLock;

/// Cells along a side of the grid on which silhouettes are compared.
const GRID: usize = 36;
/// Half the side of that grid, in units of the square root of the silhouette's area.
const HALF: f32 = 1.2;
/// Tried rotations, in degrees.
const ANGLES: [f32; 5] = [-9.0, -4.5, 0.0, 4.5, 9.0];
/// Tried sizes, relative to the one that the area suggests.
const SCALES: [f32; 3] = [0.95, 1.0, 1.05];

/// Whether a point lies inside a shape; y points down.
type Inside = fn(f32, f32) -> bool;

const SHAPES: [(&str, Inside); 10] = [
    ("circle", |x, y| x.hypot(y) < 1.0),
    ("square", |x, y| x.abs() < 1.0 && y.abs() < 1.0),
    ("triangle", |x, y| y < 0.5 && 3f32.sqrt() * x.abs() - y < 1.0),
    ("star", star),
    ("heart", |x, y| (x.abs() - 0.5).hypot(y + 0.38) < 0.56 || (y > -0.38 && x.abs() < heart_width(y))),
    ("ring", |x, y| (0.54..1.0).contains(&x.hypot(y))),
    ("cross", |x, y| x.abs().min(y.abs()) < 0.33 && x.abs().max(y.abs()) < 1.0),
    ("diamond", |x, y| x.abs() / 0.71 + y.abs() < 1.0),
    ("crescent", |x, y| x.hypot(y) < 1.0 && (x - 0.51).hypot(y) > 0.83),
    ("hexagon", |x, y| y.abs() < 0.75f32.sqrt() && 0.75f32.sqrt() * x.abs() + 0.5 * y.abs() < 0.75f32.sqrt()),
];

/// Half the width of a heart below its lobes.
fn heart_width(y: f32) -> f32 {
    let below = (y + 0.38) / 1.38;
    if below < 1.0 { 1.06 * (1.0 - below).powf(0.8) * (1.0 + 0.35 * below) } else { 0.0 }
}

/// A five-pointed star, one point up: each fifth is folded onto one edge between a tip and a notch.
fn star(x: f32, y: f32) -> bool {
    const NOTCH: f32 = 0.44;
    let fifth = std::f32::consts::TAU / 5.0;
    let from_tip = (x.atan2(-y)).rem_euclid(fifth);
    let angle = from_tip.min(fifth - from_tip);
    let (along, across) = (x.hypot(y) * angle.cos(), x.hypot(y) * angle.sin());
    let notch = (NOTCH * (fifth / 2.0).cos(), NOTCH * (fifth / 2.0).sin());
    (1.0 - along) * notch.1 > across * (1.0 - notch.0)
}

struct Template {
    name: &'static str,
    cells: Vec<f32>,
}

/// The name of the shape that looks most like a silhouette, and how much so (at most 1).
///
/// `cover` gives how much of each pixel belongs to the object, row by row.
pub fn best_match(cover: &[f32], width: usize, centroid: (f32, f32), area: f32) -> (&'static str, f32) {
    static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(all_templates);
    let mut best = ("nothing", f32::MIN);
    for scale in SCALES {
        let unit = area.sqrt() * scale;
        let cells = normalised(|x, y| bilinear(cover, width, centroid.0 + x * unit, centroid.1 + y * unit));
        for template in TEMPLATES.iter() {
            let likeness = cells.iter().zip(&template.cells).map(|(a, b)| a * b).sum();
            if likeness > best.1 {
                best = (template.name, likeness);
            }
        }
    }
    best
}

fn all_templates() -> Vec<Template> {
    let draw = |&(name, inside): &(&'static str, Inside)| {
        let (centroid, unit) = moments(inside);
        ANGLES.map(|angle| {
            let (sin, cos) = angle.to_radians().sin_cos();
            let cell = |x: f32, y: f32| {
                let (x, y) = (x * cos + y * sin, y * cos - x * sin);
                f32::from(inside(centroid.0 + x * unit, centroid.1 + y * unit))
            };
            Template { name, cells: normalised(|x, y| softened(cell, x, y)) }
        })
    };
    SHAPES.iter().flat_map(draw).collect()
}

/// The mean over a small neighbourhood, about as soft as a small picture's edges.
fn softened(value: impl Fn(f32, f32) -> f32, x: f32, y: f32) -> f32 {
    const STEPS: i32 = 5;
    let step = 2.0 * HALF / GRID as f32 * 1.5 / STEPS as f32;
    let offset = |i: i32| (i - STEPS / 2) as f32 * step;
    let samples = (0..STEPS * STEPS).map(|i| value(x + offset(i % STEPS), y + offset(i / STEPS)));
    samples.sum::<f32>() / (STEPS * STEPS) as f32
}

/// The centroid of a shape and the square root of its area.
fn moments(inside: Inside) -> ((f32, f32), f32) {
    const STEPS: i32 = 240;
    let at = |i: i32| (i as f32 + 0.5) / STEPS as f32 * 2.8 - 1.4;
    let points = (0..STEPS * STEPS).map(|i| (at(i % STEPS), at(i / STEPS))).filter(|&(x, y)| inside(x, y));
    let (count, x, y) = points.fold((0.0, 0.0, 0.0), |sum, point| (sum.0 + 1.0, sum.1 + point.0, sum.2 + point.1));
    ((x / count, y / count), f32::sqrt(count) * 2.8 / STEPS as f32)
}

/// Samples the grid and brings it to mean 0 and length 1, so that a dot product is a correlation.
fn normalised(value: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let at = |i: usize| ((i as f32 + 0.5) / GRID as f32 * 2.0 - 1.0) * HALF;
    let mut cells: Vec<f32> = (0..GRID * GRID).map(|i| value(at(i % GRID), at(i / GRID))).collect();
    let mean = cells.iter().sum::<f32>() / cells.len() as f32;
    cells.iter_mut().for_each(|cell| *cell -= mean);
    let length = cells.iter().map(|cell| cell * cell).sum::<f32>().sqrt().max(1e-6);
    cells.iter_mut().for_each(|cell| *cell /= length);
    cells
}

/// The value between pixel centres; nothing outside of the picture.
fn bilinear(cover: &[f32], width: usize, x: f32, y: f32) -> f32 {
    let (left, top) = ((x - 0.5).floor(), (y - 0.5).floor());
    let (right_share, bottom_share) = (x - 0.5 - left, y - 0.5 - top);
    let at = |column: f32, row: f32| {
        let inside = column >= 0.0 && row >= 0.0 && (column as usize) < width;
        if inside { cover.get(row as usize * width + column as usize).copied().unwrap_or(0.0) } else { 0.0 }
    };
    let upper = at(left, top) * (1.0 - right_share) + at(left + 1.0, top) * right_share;
    let lower = at(left, top + 1.0) * (1.0 - right_share) + at(left + 1.0, top + 1.0) * right_share;
    upper * (1.0 - bottom_share) + lower * bottom_share
}
