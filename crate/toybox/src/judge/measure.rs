//! From pixels to named attributes.

use serde::Serialize;

use super::palette::nearest;
use super::segment::{Blob, Picture};
use super::templates::best_match;

/// An object as it was seen.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredObject {
    pub shape: &'static str,
    pub colour: &'static str,
    /// How well the silhouette matches the shape, at most 1.
    pub likeness: f32,
    /// The centroid, as fractions of width and height.
    pub centre: [f32; 2],
    /// The longer side of the bounding box, as a fraction of the picture's smaller side.
    pub extent: f32,
}

/// What a picture shows.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    pub background: &'static str,
    /// Largest first.
    pub objects: Vec<MeasuredObject>,
}

/// Measures a picture of `width * height` pixels with three bytes each.
pub fn measure(rgb: &[u8], width: u32, height: u32) -> Measurement {
    let picture = Picture::new(rgb, width as usize, height as usize);
    let objects = picture.blobs().iter().map(|blob| measure_blob(&picture, blob)).collect();
    Measurement { background: nearest(picture.background), objects }
}

pub(super) fn measure_blob(picture: &Picture, blob: &Blob) -> MeasuredObject {
    let (width, height) = (picture.width as f32, picture.height as f32);
    let (mut area, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
    let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
    for (i, &cover) in blob.cover.iter().enumerate() {
        let (x, y) = ((i % picture.width) as f32 + 0.5, (i / picture.width) as f32 + 0.5);
        area += cover;
        x_sum += x * cover;
        y_sum += y * cover;
        if cover > 0.5 {
            low = [low[0].min(x), low[1].min(y)];
            high = [high[0].max(x), high[1].max(y)];
        }
    }
    let centroid = (x_sum / area, y_sum / area);
    let (shape, likeness) = best_match(&blob.cover, picture.width, centroid, area);
    let across = (high[0] - low[0]).max(high[1] - low[1]) + 1.0;
    MeasuredObject {
        shape,
        colour: nearest(blob.colour),
        likeness,
        centre: [centroid.0 / width, centroid.1 / height],
        extent: across / width.min(height),
    }
}
