//! The colours of a mesh, from the views that see each place best.

use crate::progress::Image;

use super::carve::{SIDE, Silhouette, Volume};
use super::surface::neighbours;
use super::{HALF_EXTENT, Mesh, add, dot, scaled};

/// How much more a view counts the more frontally it sees a place.
const FRONTALITY: i32 = 4;
/// Where less than this of the surroundings is covered, the background shines through.
const COVERED: f32 = 0.95;
/// What counts as inside of the object for whatever lies behind it.
const SOLID: f32 = 0.7;

/// Gives every vertex its colour.
pub(super) fn paint(mesh: &mut Mesh, volume: &Volume, silhouettes: &[Silhouette], views: &[Image]) {
    let mut colours: Vec<Option<[f32; 3]>> = Vec::with_capacity(mesh.positions.len());
    for (&position, &normal) in mesh.positions.iter().zip(&mesh.normals) {
        let (mut sum, mut weights) = ([0.0; 3], 0.0);
        for (silhouette, view) in silhouettes.iter().zip(views) {
            let back = silhouette.camera.direction().map(|axis| -axis);
            let weight = dot(normal, back).max(0.0).powi(FRONTALITY);
            if weight > 1e-4 && silhouette.at(position) >= COVERED && !hidden(volume, position, back) {
                sum = add(
                    sum,
                    scaled(colour_at(view, silhouette.camera.pixel(position, view.width, view.height)), weight),
                );
                weights += weight;
            }
        }
        colours.push((weights > 0.0).then(|| scaled(sum, 1.0 / weights)));
    }
    mesh.colours = spread(colours, &neighbours(mesh.positions.len(), &mesh.triangles));
}

/// Whether the object itself stands between a place on its surface and the camera.
fn hidden(volume: &Volume, position: [f32; 3], back: [f32; 3]) -> bool {
    let stride = 2.0 * HALF_EXTENT / SIDE as f32;
    let samples = (3..).map_while(|step| volume.nearest(add(position, scaled(back, step as f32 * stride))));
    samples.into_iter().any(|value| value > SOLID)
}

/// The colour of the pixel at a place, from 0 to 1.
fn colour_at(view: &Image, [x, y]: [f32; 2]) -> [f32; 3] {
    let inside = |at: f32, side: usize| (at as usize).min(side - 1);
    let start = 3 * (inside(y, view.height) * view.width + inside(x, view.width));
    std::array::from_fn(|channel| f32::from(view.rgb[start + channel]) / 255.0)
}

/// What no view shows, the underside above all, takes the colour of what is around it.
fn spread(mut colours: Vec<Option<[f32; 3]>>, neighbours: &[Vec<u32>]) -> Vec<[f32; 3]> {
    loop {
        let near = |vertex: usize| {
            let known = neighbours[vertex].iter().filter_map(|&neighbour| colours[neighbour as usize]);
            let (sum, count) = known.fold(([0.0; 3], 0.0), |(sum, count), colour| (add(sum, colour), count + 1.0));
            (count > 0.0).then(|| (vertex, scaled(sum, 1.0 / count)))
        };
        let unknown = (0..colours.len()).filter(|&vertex| colours[vertex].is_none());
        let found: Vec<_> = unknown.filter_map(near).collect();
        if found.is_empty() {
            // Only a mesh that no view shows anything of still lacks colours: it becomes grey.
            return colours.into_iter().map(|colour| colour.unwrap_or([0.5; 3])).collect();
        }
        found.into_iter().for_each(|(vertex, colour)| colours[vertex] = Some(colour));
    }
}
