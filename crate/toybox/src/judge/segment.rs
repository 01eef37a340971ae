//! Parts objects from the background, and from each other.

use super::palette::{distance, nearest, oklab};

/// How far from the background a pixel must be, in Oklab, to belong to an object.
const VISIBLE: f32 = 0.1;
/// The smallest object, as a fraction of the square of the picture's smaller side.
const SMALLEST: f32 = 0.008;
/// The share of an object's inside that a second colour must have to count as a second object that touches it.
const SECOND_COLOUR: f32 = 0.2;
/// How near to a mixture of two colours a colour must be to pass for one, in levels of sRGB.
const MIXED: f32 = 36.0;

/// A picture with what is needed to take it apart.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    rgb: Vec<[f32; 3]>,
    /// The colour that most of the border has.
    pub background: [f32; 3],
    /// Each pixel's distance from the background in Oklab.
    contrast: Vec<f32>,
}

/// An object that was found.
pub struct Blob {
    pub colour: [f32; 3],
    /// How much of each pixel of the whole picture the object covers, from 0 to 1.
    pub cover: Vec<f32>,
}

impl Picture {
    /// # Panics
    /// If `rgb` is not `width * height * 3` bytes long.
    pub fn new(rgb: &[u8], width: usize, height: usize) -> Self {
        assert_eq!(rgb.len(), width * height * 3, "a picture of {width}×{height} has three bytes a pixel");
        let rgb: Vec<[f32; 3]> = rgb.chunks_exact(3).map(|p| [p[0] as f32, p[1] as f32, p[2] as f32]).collect();
        let background = border_colour(&rgb, width, height);
        let lab = oklab(background);
        let contrast = rgb.iter().map(|&pixel| distance(oklab(pixel), lab)).collect();
        Self { width, height, rgb, background, contrast }
    }

    /// The objects, largest first.
    pub fn blobs(&self) -> Vec<Blob> {
        let visible: Vec<bool> = self.contrast.iter().map(|&c| c > VISIBLE).collect();
        let mut members: Vec<Vec<usize>> = Vec::new();
        for region in self.connected(&visible) {
            for part in self.split_by_colour(region) {
                let typical = quantile(part.iter().map(|&i| self.contrast[i]).collect(), 0.8);
                let mut solid = vec![false; self.rgb.len()];
                part.iter().for_each(|&i| solid[i] = self.contrast[i] > 0.45 * typical);
                members.extend(self.connected(&solid));
            }
        }
        members.sort_by_key(|pixels| std::cmp::Reverse(pixels.len()));
        let mut owner = vec![usize::MAX; self.rgb.len()];
        for (number, pixels) in members.iter().enumerate() {
            pixels.iter().for_each(|&i| owner[i] = number);
        }
        members.iter().enumerate().map(|(number, pixels)| self.blob(number, pixels, &owner)).collect()
    }

    /// Sets of at least [`SMALLEST`] marked pixels that touch, corners included.
    fn connected(&self, marked: &[bool]) -> Vec<Vec<usize>> {
        let smallest = SMALLEST * self.width.min(self.height).pow(2) as f32;
        let mut left = marked.to_vec();
        let mut regions = Vec::new();
        for start in 0..left.len() {
            if !std::mem::take(&mut left[start]) {
                continue;
            }
            let mut region = vec![start];
            let mut next = 0;
            while next < region.len() {
                for neighbour in self.around(region[next], 1) {
                    if std::mem::take(&mut left[neighbour]) {
                        region.push(neighbour);
                    }
                }
                next += 1;
            }
            if region.len() as f32 >= smallest {
                regions.push(region);
            }
        }
        regions
    }

    /// Two objects of different colours that touch become two regions.
    fn split_by_colour(&self, region: Vec<usize>) -> Vec<Vec<usize>> {
        let inside = self.interior(&region);
        let mut named: Vec<(&str, Vec<usize>)> = Vec::new();
        for &i in &inside {
            let name = nearest(self.rgb[i]);
            match named.iter_mut().find(|entry| entry.0 == name) {
                Some(entry) => entry.1.push(i),
                None => named.push((name, vec![i])),
            }
        }
        named.sort_by_key(|entry| std::cmp::Reverse(entry.1.len()));
        let [(_, first), (_, second), ..] = &named[..] else { return vec![region] };
        let (a, b) = (self.mean(first), self.mean(second));
        let rare = (second.len() as f32) < SECOND_COLOUR * inside.len() as f32;
        if rare || self.is_edge_of(a, b) || self.is_edge_of(b, a) {
            return vec![region];
        }
        let (a, b) = (oklab(a), oklab(b));
        let nearer_first = |&i: &usize| {
            let lab = oklab(self.rgb[i]);
            distance(lab, a) <= distance(lab, b)
        };
        let (first, second) = region.into_iter().partition(nearer_first);
        vec![first, second]
    }

    /// Whether a colour is a mixture of the background and of `solid`, as on soft edges.
    fn is_edge_of(&self, colour: [f32; 3], solid: [f32; 3]) -> bool {
        let share = self.share_of(colour, solid);
        let mixture = std::array::from_fn(|c| self.background[c] + share * (solid[c] - self.background[c]));
        distance(colour, mixture) < MIXED
    }

    /// How far a colour lies on the way from the background to `solid`, from 0 to 1.
    fn share_of(&self, colour: [f32; 3], solid: [f32; 3]) -> f32 {
        let (mut along, mut length) = (0.0, 1.0);
        for c in 0..3 {
            along += (colour[c] - self.background[c]) * (solid[c] - self.background[c]);
            length += (solid[c] - self.background[c]).powi(2);
        }
        (along / length).clamp(0.0, 1.0)
    }

    fn blob(&self, number: usize, pixels: &[usize], owner: &[usize]) -> Blob {
        let colour = self.mean(&self.interior(pixels));
        let mut cover = vec![0.0; self.rgb.len()];
        for &pixel in pixels {
            // Two pixels around it, so that its soft edge is counted too.
            for i in self.around(pixel, 2).filter(|&i| owner[i] == number || owner[i] == usize::MAX) {
                if cover[i] == 0.0 {
                    cover[i] = self.share_of(self.rgb[i], colour);
                }
            }
        }
        Blob { colour, cover }
    }

    /// The pixels whose neighbours all belong to the region too; the whole region where that leaves too few.
    fn interior(&self, region: &[usize]) -> Vec<usize> {
        let mut inside = vec![false; self.rgb.len()];
        region.iter().for_each(|&i| inside[i] = true);
        let core: Vec<usize> = region.iter().copied().filter(|&i| self.around(i, 1).all(|n| inside[n])).collect();
        if core.len() * 10 >= region.len() { core } else { region.to_vec() }
    }

    fn mean(&self, pixels: &[usize]) -> [f32; 3] {
        std::array::from_fn(|c| pixels.iter().map(|&i| self.rgb[i][c]).sum::<f32>() / pixels.len() as f32)
    }

    /// The pixels at most `reach` away in x and in y, the pixel itself included.
    fn around(&self, index: usize, reach: usize) -> impl Iterator<Item = usize> + use<> {
        let (x, y, width) = (index % self.width, index / self.width, self.width);
        let (right, bottom) = ((x + reach).min(width - 1), (y + reach).min(self.height - 1));
        (y.saturating_sub(reach)..=bottom)
            .flat_map(move |row| (x.saturating_sub(reach)..=right).map(move |column| row * width + column))
    }
}

/// The median of the outermost two pixels on every side, channel by channel.
fn border_colour(rgb: &[[f32; 3]], width: usize, height: usize) -> [f32; 3] {
    let edge = |at: usize, side: usize| at < 2 || at + 2 >= side;
    let border: Vec<[f32; 3]> =
        (0..rgb.len()).filter(|i| edge(i % width, width) || edge(i / width, height)).map(|i| rgb[i]).collect();
    std::array::from_fn(|c| quantile(border.iter().map(|pixel| pixel[c]).collect(), 0.5))
}

fn quantile(mut values: Vec<f32>, q: f32) -> f32 {
    values.sort_by(f32::total_cmp);
    values[((values.len() - 1) as f32 * q) as usize]
}
