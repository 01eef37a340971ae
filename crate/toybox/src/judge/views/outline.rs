//! Which pixels of a view belong to the object.

/// How far, of 255 levels, a pixel must differ from the background to be looked at.
const VISIBLE: f32 = 24.0;
/// The smallest object, as a part of the picture.
const SMALLEST: f32 = 0.01;
/// Which part of the object's usual contrast a pixel needs to belong to it.
const SHARE: f32 = 0.35;
/// The largest gap that passes for a highlight and not for a hole, as a part of the object.
const HIGHLIGHT: f32 = 0.04;

/// A view with its object found.
pub struct Outline {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<[f32; 3]>,
    pub mask: Vec<bool>,
    /// How many pixels the object has.
    pub area: f32,
    /// Its middle in pixels.
    pub centre: [f32; 2],
}

impl Outline {
    /// Nothing if there is no object.
    ///
    /// # Panics
    /// If `rgb` is not `width * height * 3` bytes long.
    pub fn find(rgb: &[u8], width: usize, height: usize) -> Option<Self> {
        assert_eq!(rgb.len(), width * height * 3, "a picture of {width}×{height} has three bytes a pixel");
        let rgb: Vec<[f32; 3]> = rgb.chunks_exact(3).map(|p| [p[0], p[1], p[2]].map(f32::from)).collect();
        let border = (0..rgb.len()).filter(|&i| on_border(i, width, height)).map(|i| rgb[i]);
        let background = median(border.collect());
        let differs = |pixel: &[f32; 3]| (0..3).map(|c| (pixel[c] - background[c]).abs()).fold(0.0, f32::max);
        let contrast: Vec<f32> = rgb.iter().map(differs).collect();
        let mut visible: Vec<f32> = contrast.iter().copied().filter(|&contrast| contrast > VISIBLE).collect();
        if (visible.len() as f32) < SMALLEST * rgb.len() as f32 {
            return None;
        }
        visible.sort_by(f32::total_cmp);
        let least = (SHARE * visible[visible.len() * 3 / 10]).max(VISIBLE / 2.0);
        let mut mask: Vec<bool> = contrast.iter().map(|&contrast| contrast > least).collect();
        keep_largest(&mut mask, width);
        close_highlights(&mut mask, width, height);
        let members = (0..mask.len()).filter(|&i| mask[i]).map(|i| [i % width, i / width].map(|at| at as f32 + 0.5));
        let (area, x, y) = members.fold((0.0, 0.0, 0.0), |(area, x, y), at| (area + 1.0, x + at[0], y + at[1]));
        Some(Self { width, height, rgb, mask, area, centre: [x / area, y / area] })
    }

    /// The pixels whose neighbours belong to the object too, so that nothing of the background is in them.
    pub fn interior(&self) -> impl Iterator<Item = usize> {
        let (width, height) = (self.width, self.height);
        let steps = [-1, 0, 1].map(|row: isize| [-1, 0, 1].map(|column: isize| row * width as isize + column));
        let inner = move |i: &usize| {
            let surrounded = || steps.iter().flatten().all(|&step| self.mask[i.wrapping_add_signed(step)]);
            !on_border(*i, width, height) && surrounded()
        };
        (0..self.mask.len()).filter(inner)
    }
}

/// The median, channel by channel.
///
/// # Panics
/// If there are no colours.
pub fn median(mut colours: Vec<[f32; 3]>) -> [f32; 3] {
    std::array::from_fn(|channel| {
        colours.sort_by(|a, b| a[channel].total_cmp(&b[channel]));
        colours[colours.len() / 2][channel]
    })
}

fn on_border(index: usize, width: usize, height: usize) -> bool {
    let (x, y) = (index % width, index / width);
    x == 0 || y == 0 || x + 1 == width || y + 1 == height
}

/// The sets of pixels of this value that touch at their sides.
fn regions(mask: &[bool], width: usize, value: bool) -> Vec<Vec<usize>> {
    let mut left: Vec<bool> = mask.iter().map(|&member| member == value).collect();
    let mut regions = Vec::new();
    for start in 0..left.len() {
        if !std::mem::take(&mut left[start]) {
            continue;
        }
        let (mut region, mut next) = (vec![start], 0);
        while let Some(&i) = region.get(next) {
            next += 1;
            let row = i / width * width;
            let around = [i.checked_sub(width), Some(i + width), i.checked_sub(1).filter(|&i| i >= row)];
            for neighbour in around.into_iter().flatten().chain(Some(i + 1).filter(|&i| i < row + width)) {
                if left.get_mut(neighbour).is_some_and(std::mem::take) {
                    region.push(neighbour);
                }
            }
        }
        regions.push(region);
    }
    regions
}

fn keep_largest(mask: &mut [bool], width: usize) {
    let largest = regions(mask, width, true).into_iter().max_by_key(Vec::len).unwrap_or_default();
    mask.fill(false);
    largest.into_iter().for_each(|i| mask[i] = true);
}

/// A highlight can be as bright as the background.
fn close_highlights(mask: &mut [bool], width: usize, height: usize) {
    let object = mask.iter().filter(|&&member| member).count();
    for gap in regions(mask, width, false) {
        let closed = gap.iter().all(|&i| !on_border(i, width, height));
        if closed && (gap.len() as f32) < HIGHLIGHT * object as f32 {
            gap.into_iter().for_each(|i| mask[i] = true);
        }
    }
}
