//! Pictures → outlines → what lies inside of all of them.

use crate::error::{Error, Result};
use crate::progress::Image;

use super::{Camera, HALF_EXTENT, scaled};

/// How many samples the volume has along each axis.
pub(super) const SIDE: u32 = 72;
/// How far, of 255 levels, a pixel must differ from the background to be looked at.
const VISIBLE: f32 = 24.0;
/// The smallest object, as a part of the picture.
const SMALLEST: f32 = 0.004;
/// Which of the contrasts of an object, from the weakest to the strongest, counts as its contrast.
const TYPICAL: f32 = 0.3;
/// From which part of an object's contrast on a pixel begins to belong to it, and from which on it does so entirely.
const RAMP: (f32, f32) = (0.12, 0.5);
/// The largest gap in an outline that passes for a highlight and not for a hole, as a part of the object.
const HIGHLIGHT: f32 = 0.04;

/// How much of every pixel of a view the object covers, from 0 to 1.
pub(super) struct Silhouette {
    pub camera: Camera,
    width: usize,
    height: usize,
    cover: Vec<f32>,
}

impl Silhouette {
    /// The outline of what stands out from the colour of the picture's border.
    pub fn new(image: &Image, view: usize, views: usize) -> Result<Self> {
        let (width, height) = (image.width, image.height);
        if width == 0 || height == 0 || image.rgb.len() != width * height * 3 {
            return Err(Error::bad_request(format!("view {view}"))
                .expected(format!("three bytes for each of {width}×{height} pixels"))
                .found(format!("{} bytes", image.rgb.len())));
        }
        let background = border_colour(image);
        let contrast_of = |pixel: &[u8]| {
            let differences = pixel.iter().zip(background).map(|(&level, border)| level.abs_diff(border));
            f32::from(differences.max().expect("a pixel has three channels"))
        };
        let contrast: Vec<f32> = image.rgb.chunks_exact(3).map(contrast_of).collect();
        let mut visible: Vec<f32> = contrast.iter().copied().filter(|&contrast| contrast > VISIBLE).collect();
        if (visible.len() as f32) < SMALLEST * (width * height) as f32 {
            return Err(Error::bad_model(format!("view {view}"))
                .expected("one object on a plain background")
                .found("a picture without an object")
                .remedy("try another seed, or a prompt that names one object"));
        }
        visible.sort_by(f32::total_cmp);
        let typical = visible[(TYPICAL * (visible.len() - 1) as f32) as usize];
        let ramp = |contrast: f32| ((contrast / typical - RAMP.0) / (RAMP.1 - RAMP.0)).clamp(0.0, 1.0);
        let cover = contrast.into_iter().map(ramp).map(|t| t * t * (3.0 - 2.0 * t)).collect();
        let mut silhouette = Self { camera: Camera::new(view, views), width, height, cover };
        silhouette.close_highlights();
        silhouette.blur();
        Ok(silhouette)
    }

    /// How much of the place where a point is seen is covered; outside of the picture nothing is.
    pub fn at(&self, point: [f32; 3]) -> f32 {
        bilinear(self.camera.pixel(point, self.width, self.height), self.width, self.height, |index| self.cover[index])
    }

    /// Fills small gaps: a highlight can be as bright as the background.
    fn close_highlights(&mut self) {
        let object = self.cover.iter().filter(|&&cover| cover >= 0.5).count();
        let mut met = vec![false; self.cover.len()];
        for start in 0..self.cover.len() {
            if met[start] || self.cover[start] >= 0.5 {
                continue;
            }
            met[start] = true;
            let (mut gap, mut next, mut open) = (vec![start], 0, false);
            while let Some(&index) = gap.get(next) {
                next += 1;
                let (x, y) = (index % self.width, index / self.width);
                open |= x == 0 || y == 0 || x + 1 == self.width || y + 1 == self.height;
                let sides = [(x > 0, -1), (x + 1 < self.width, 1)].map(|(there, step)| (there, step as isize));
                let ends = [(y > 0, -(self.width as isize)), (y + 1 < self.height, self.width as isize)];
                for (_, step) in sides.into_iter().chain(ends).filter(|&(there, _)| there) {
                    let neighbour = index.wrapping_add_signed(step);
                    if self.cover[neighbour] < 0.5 && !std::mem::replace(&mut met[neighbour], true) {
                        gap.push(neighbour);
                    }
                }
            }
            if !open && (gap.len() as f32) < HIGHLIGHT * object as f32 {
                gap.into_iter().for_each(|index| self.cover[index] = 1.0);
            }
        }
    }

    /// A 3×3 binomial filter, so that the stairs of pixels become slopes.
    fn blur(&mut self) {
        let (width, height) = (self.width, self.height);
        let pass = |cover: &[f32], step: usize, at: &dyn Fn(usize) -> usize, side: usize| -> Vec<f32> {
            let tap = |index: usize| {
                let before = if at(index) > 0 { cover[index - step] } else { cover[index] };
                let after = if at(index) + 1 < side { cover[index + step] } else { cover[index] };
                0.25 * before + 0.5 * cover[index] + 0.25 * after
            };
            (0..cover.len()).map(tap).collect()
        };
        let across = pass(&self.cover, 1, &|index| index % width, width);
        self.cover = pass(&across, width, &|index| index / width, height);
    }
}

/// Samples of how far inside of every outline a place is: 1 well inside, 0 outside, one half on the surface.
pub(super) struct Volume {
    /// x first, then y, then z.
    pub values: Vec<f32>,
}

impl Volume {
    /// The least that any view shows of each place. The outermost samples are outside, so that the surface is closed.
    pub fn carve(silhouettes: &[Silhouette]) -> Self {
        let value = |index: u32| {
            let at = [index % SIDE, index / SIDE % SIDE, index / (SIDE * SIDE)];
            if at.iter().any(|&axis| axis == 0 || axis == SIDE - 1) {
                return 0.0;
            }
            let point = Self::world_from_grid(at.map(|axis| axis as f32));
            silhouettes.iter().map(|silhouette| silhouette.at(point)).fold(1.0, f32::min)
        };
        Self { values: (0..SIDE.pow(3)).map(value).collect() }
    }

    /// From samples counted along each axis to the world.
    pub fn world_from_grid(at: [f32; 3]) -> [f32; 3] {
        scaled(at.map(|axis| 2.0 * axis / (SIDE - 1) as f32 - 1.0), HALF_EXTENT)
    }

    /// The nearest sample to a point of the world; nothing where none is near.
    pub fn nearest(&self, point: [f32; 3]) -> Option<f32> {
        let at = point.map(|axis| ((axis / HALF_EXTENT + 1.0) / 2.0 * (SIDE - 1) as f32).round());
        let inside = at.iter().all(|axis| (0.0..SIDE as f32).contains(axis));
        let [x, y, z] = at.map(|axis| axis as usize);
        inside.then(|| self.values[x + SIDE as usize * (y + SIDE as usize * z)])
    }
}

/// A value between pixels, whose middles lie at halves; outside of the picture it is zero.
fn bilinear([x, y]: [f32; 2], width: usize, height: usize, value: impl Fn(usize) -> f32) -> f32 {
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let at = |x: f32, y: f32| {
        let inside = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
        if inside { value(y as usize * width + x as usize) } else { 0.0 }
    };
    let (right_share, bottom_share) = (x - left, y - top);
    let upper = at(left, top) * (1.0 - right_share) + at(left + 1.0, top) * right_share;
    let lower = at(left, top + 1.0) * (1.0 - right_share) + at(left + 1.0, top + 1.0) * right_share;
    upper * (1.0 - bottom_share) + lower * bottom_share
}

/// The median of the outermost pixels, channel by channel.
fn border_colour(image: &Image) -> [u8; 3] {
    let (width, height) = (image.width, image.height);
    let on_border = |index: &usize| {
        let (x, y) = (index % width, index / width);
        x == 0 || y == 0 || x + 1 == width || y + 1 == height
    };
    let border: Vec<usize> = (0..width * height).filter(on_border).collect();
    std::array::from_fn(|channel| {
        let mut levels: Vec<u8> = border.iter().map(|index| image.rgb[3 * index + channel]).collect();
        levels.sort_unstable();
        levels[levels.len() / 2]
    })
}
