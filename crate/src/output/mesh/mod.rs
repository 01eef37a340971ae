//! Views of an object from all sides → a coloured mesh, as a file that every 3D program opens.
//!
//! The cameras are known, so the mesh is the visual hull: what lies inside of the object's outline in every view. Hollows
//! that no outline shows stay filled.

use crate::error::{Error, Result};
use crate::progress::Image;

mod camera;
mod carve;
mod glb;
mod paint;
mod surface;
#[cfg(test)]
mod tests;

pub use camera::{Camera, ELEVATION, HALF_EXTENT};

use carve::{Silhouette, Volume};

/// From fewer views than this nothing like the object can be carved.
pub const FEWEST_VIEWS: usize = 3;

/// A closed surface of triangles.
#[derive(Debug, Clone, PartialEq)]
pub struct Mesh {
    /// Where the vertices are, in the world of [`Camera`].
    pub positions: Vec<[f32; 3]>,
    /// Which way is out, vertex by vertex; of length one.
    pub normals: Vec<[f32; 3]>,
    /// sRGB, vertex by vertex, from 0 to 1.
    pub colours: Vec<[f32; 3]>,
    /// Counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
}

impl Mesh {
    /// Which pixels of a picture of this camera have their middle inside of a triangle, row by row.
    pub fn outline(&self, camera: &Camera, width: usize, height: usize) -> Vec<bool> {
        let mut covered = vec![false; width * height];
        for corners in &self.triangles {
            let [a, b, c] = corners.map(|corner| camera.pixel(self.positions[corner as usize], width, height));
            let range = |axis: usize, side: usize| {
                let low = a[axis].min(b[axis]).min(c[axis]).floor().max(0.0) as usize;
                low..(a[axis].max(b[axis]).max(c[axis]).ceil() as usize).min(side)
            };
            for (x, y) in range(1, height).flat_map(|y| range(0, width).map(move |x| (x, y))) {
                let (u, v) = (x as f32 + 0.5, y as f32 + 0.5);
                let turn = |p: [f32; 2], q: [f32; 2]| (q[0] - p[0]) * (v - p[1]) - (q[1] - p[1]) * (u - p[0]);
                let turns = [turn(a, b), turn(b, c), turn(c, a)];
                covered[y * width + x] |= turns.iter().all(|&t| t >= 0.0) || turns.iter().all(|&t| t <= 0.0);
            }
        }
        covered
    }
}

/// The object that `views` show; view k is seen by the camera `Camera::new(k, views.len())`.
///
/// # Errors
/// `bad-request` for fewer than three views, `bad-model` for views that show no object, or no common one.
pub fn mesh(views: &[Image]) -> Result<Mesh> {
    if views.len() < FEWEST_VIEWS {
        return Err(Error::bad_request("views")
            .expected(format!("at least {FEWEST_VIEWS} views to make a mesh of"))
            .found(views.len().to_string()));
    }
    let seen = views.iter().enumerate().map(|(view, image)| Silhouette::new(image, view, views.len()));
    let silhouettes = seen.collect::<Result<Vec<_>>>()?;
    let volume = Volume::carve(&silhouettes);
    let mut mesh = surface::extract(&volume)?;
    paint::paint(&mut mesh, &volume, &silhouettes, views);
    Ok(mesh)
}

/// The object that `views` show as a binary glTF 2.0 file.
///
/// # Errors
/// Those of [`mesh`].
pub fn glb(views: &[Image]) -> Result<Vec<u8>> {
    Ok(glb::encode(&mesh(views)?))
}

fn add(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

fn sub(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn scaled(a: [f32; 3], factor: f32) -> [f32; 3] {
    a.map(|axis| factor * axis)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
