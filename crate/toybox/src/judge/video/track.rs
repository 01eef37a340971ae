//! Follows an object from frame to frame.

use crate::judge::measure::{MeasuredObject, measure_blob};
use crate::judge::palette::{distance, nearest, oklab};
use crate::judge::segment::{Blob, Picture};

/// An object that is fainter than this, relative to the frame where it stands out most, counts as not there.
const FAINT: f32 = 0.4;

/// What is seen of the object in one frame.
pub struct Sighting {
    pub object: MeasuredObject,
    /// The centroid, in units of the picture's smaller side.
    pub at: [f32; 2],
    /// The square root of its area, in the same units.
    pub extent: f32,
    /// How much of each pixel it covers, row by row.
    cover: Vec<f32>,
    width: usize,
    /// How far its colour is from the background's, in Oklab.
    contrast: f32,
}

/// The largest object of every frame.
pub struct Track {
    /// Nothing where the object is not there.
    pub sightings: Vec<Option<Sighting>>,
    /// The background's colour, frame by frame.
    pub backgrounds: Vec<&'static str>,
}

impl Track {
    /// Follows the object through frames of `width * height` pixels with three bytes each.
    pub fn new(frames: &[Vec<u8>], width: u32, height: u32) -> Self {
        let (mut sightings, mut backgrounds) = (Vec::new(), Vec::new());
        for rgb in frames {
            let picture = Picture::new(rgb, width as usize, height as usize);
            backgrounds.push(nearest(picture.background));
            sightings.push(picture.blobs().into_iter().next().map(|blob| Sighting::new(&picture, blob)));
        }
        let strongest = sightings.iter().flatten().map(|sighting| sighting.contrast).fold(0.0, f32::max);
        for sighting in &mut sightings {
            sighting.take_if(|sighting| sighting.contrast < FAINT * strongest);
        }
        Self { sightings, backgrounds }
    }

    /// The frames in which the object is there.
    pub fn visible(&self) -> impl Iterator<Item = &Sighting> {
        self.sightings.iter().flatten()
    }
}

impl Sighting {
    fn new(picture: &Picture, blob: Blob) -> Self {
        let object = measure_blob(picture, &blob);
        let (width, height) = (picture.width as f32, picture.height as f32);
        let smaller = width.min(height);
        Self {
            at: [object.centre[0] * width / smaller, object.centre[1] * height / smaller],
            extent: blob.cover.iter().sum::<f32>().sqrt() / smaller,
            contrast: distance(oklab(blob.colour), oklab(picture.background)),
            object,
            cover: blob.cover,
            width: picture.width,
        }
    }

    /// Which way the silhouette is turned, in degrees from 0 to a `fold`th of a turn, if it looks the same after each
    /// such part: the phase of its moment `Σ cover · (x + iy)^fold` about the centroid.
    pub fn angle(&self, fold: u32) -> f32 {
        let height = self.cover.len() / self.width;
        let centre = [self.object.centre[0] * self.width as f32, self.object.centre[1] * height as f32];
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (i, &cover) in self.cover.iter().enumerate().filter(|(_, cover)| **cover > 0.0) {
            let x = (i % self.width) as f32 + 0.5 - centre[0];
            let y = (i / self.width) as f32 + 0.5 - centre[1];
            let (sin, cos) = (fold as f32 * y.atan2(x)).sin_cos();
            let weight = cover * x.hypot(y).powi(fold as i32);
            real += weight * cos;
            imaginary += weight * sin;
        }
        (imaginary.atan2(real).to_degrees() / fold as f32).rem_euclid(360.0 / fold as f32)
    }
}
