//! The volume's surface: extracted by surface nets, reduced to its largest part, smoothed.

use fast_surface_nets::ndshape::ConstShape3u32;
use fast_surface_nets::{SurfaceNetsBuffer, surface_nets};

use crate::error::{Error, Result};

use super::carve::{SIDE, Volume};
use super::{Mesh, add, cross, dot, scaled, sub};

/// How often the surface is smoothed.
const ROUNDS: usize = 3;
/// Taubin's two steps (1995): one towards the neighbours and a slightly longer one back, so that nothing shrinks.
const STEPS: [f32; 2] = [0.5, -0.53];

/// The surface of the largest part of the volume, without colours yet.
pub(super) fn extract(volume: &Volume) -> Result<Mesh> {
    let distances: Vec<f32> = volume.values.iter().map(|value| 0.5 - value).collect();
    let mut net = SurfaceNetsBuffer::default();
    surface_nets(&distances, &ConstShape3u32::<SIDE, SIDE, SIDE>, [0; 3], [SIDE - 1; 3], &mut net);
    let triangles = net.indices.chunks_exact(3).map(|corners| [corners[0], corners[1], corners[2]]).collect();
    let positions = net.positions.into_iter().map(Volume::world_from_grid).collect();
    let (mut positions, triangles) = largest_part(positions, triangles);
    if triangles.is_empty() {
        return Err(Error::bad_model("views")
            .expected("one object, seen from all sides")
            .found("pictures whose outlines have nothing in common")
            .remedy("try another seed"));
    }
    let neighbours = neighbours(positions.len(), &triangles);
    smooth(&mut positions, &neighbours);
    let normals = normals(&positions, &triangles);
    let colours = vec![[0.0; 3]; positions.len()];
    Ok(Mesh { positions, normals, colours, triangles })
}

/// For each vertex those that it shares an edge with, once each.
pub(super) fn neighbours(vertices: usize, triangles: &[[u32; 3]]) -> Vec<Vec<u32>> {
    let mut neighbours = vec![Vec::new(); vertices];
    for &[a, b, c] in triangles {
        for (from, to) in [(a, b), (b, c), (c, a), (b, a), (c, b), (a, c)] {
            let known: &mut Vec<u32> = &mut neighbours[from as usize];
            if !known.contains(&to) {
                known.push(to);
            }
        }
    }
    neighbours
}

/// Keeps the part that most triangles belong to, and its vertices only.
fn largest_part(positions: Vec<[f32; 3]>, triangles: Vec<[u32; 3]>) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
    let neighbours = neighbours(positions.len(), &triangles);
    let mut part_of = vec![usize::MAX; positions.len()];
    let mut sizes: Vec<usize> = Vec::new();
    for start in 0..positions.len() {
        if part_of[start] != usize::MAX {
            continue;
        }
        let part = sizes.len();
        part_of[start] = part;
        let (mut members, mut next) = (vec![start as u32], 0);
        while let Some(&member) = members.get(next) {
            next += 1;
            for &neighbour in &neighbours[member as usize] {
                if part_of[neighbour as usize] == usize::MAX {
                    part_of[neighbour as usize] = part;
                    members.push(neighbour);
                }
            }
        }
        sizes.push(members.len());
    }
    let largest = (0..sizes.len()).max_by_key(|&part| sizes[part]);
    let kept = |vertex: usize| Some(part_of[vertex]) == largest;
    let mut renumbered = vec![0; positions.len()];
    for (number, vertex) in (0..).zip((0..positions.len()).filter(|&vertex| kept(vertex))) {
        renumbered[vertex] = number;
    }
    let triangles = triangles.into_iter().filter(|corners| kept(corners[0] as usize));
    let triangles = triangles.map(|corners| corners.map(|corner| renumbered[corner as usize])).collect();
    let positions = positions.into_iter().enumerate().filter(|&(vertex, _)| kept(vertex));
    (positions.map(|(_, position)| position).collect(), triangles)
}

fn smooth(positions: &mut [[f32; 3]], neighbours: &[Vec<u32>]) {
    for step in std::iter::repeat_n(STEPS, ROUNDS).flatten() {
        let before = positions.to_vec();
        for (position, around) in positions.iter_mut().zip(neighbours) {
            let sum = around.iter().fold([0.0; 3], |sum, &vertex| add(sum, before[vertex as usize]));
            let towards = sub(scaled(sum, 1.0 / around.len() as f32), *position);
            *position = add(*position, scaled(towards, step));
        }
    }
}

/// The mean of the directions of the triangles around each vertex, weighted by area.
fn normals(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<[f32; 3]> {
    let mut sums = vec![[0.0; 3]; positions.len()];
    for corners in triangles {
        let [a, b, c] = corners.map(|corner| positions[corner as usize]);
        let direction = cross(sub(b, a), sub(c, a));
        corners.iter().for_each(|&corner| sums[corner as usize] = add(sums[corner as usize], direction));
    }
    let normalised = |sum: [f32; 3]| match dot(sum, sum).sqrt() {
        length if length > 0.0 => scaled(sum, 1.0 / length),
        // A vertex whose triangles cancel out has no direction of its own; a file needs one all the same.
        _ => [0.0, 1.0, 0.0],
    };
    sums.into_iter().map(normalised).collect()
}
