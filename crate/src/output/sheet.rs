//! Frames → one picture that shows them all.

use crate::progress::Image;

/// The white between two frames, in pixels.
const GAP: usize = 4;

/// A contact sheet: the frames row by row, as square as possible. Without frames it is empty.
///
/// Frames that differ in size stand at the upper left of cells in which the largest fit.
///
/// # Panics
/// If a frame has fewer pixels than it states.
pub fn sheet(frames: &[Image]) -> Image {
    let cell_width = frames.iter().map(|image| image.width).max().unwrap_or(0);
    let cell_height = frames.iter().map(|image| image.height).max().unwrap_or(0);
    let columns = columns(frames.len(), cell_width, cell_height);
    let rows = frames.len().div_ceil(columns);
    let (width, height) = (length(columns, cell_width), length(rows, cell_height));
    let mut rgb = vec![255; width * height * 3];
    for (index, image) in frames.iter().enumerate() {
        let left = index % columns * (cell_width + GAP);
        let top = index / columns * (cell_height + GAP);
        for row in 0..image.height {
            let line = &image.rgb[row * image.width * 3..][..image.width * 3];
            rgb[((top + row) * width + left) * 3..][..line.len()].copy_from_slice(line);
        }
    }
    Image { width, height, rgb }
}

/// The number of columns that makes the longer side shortest; of those the largest.
fn columns(count: usize, cell_width: usize, cell_height: usize) -> usize {
    let longer_side = |columns: usize| {
        let rows = count.div_ceil(columns);
        length(columns, cell_width).max(length(rows, cell_height))
    };
    (1..=count).rev().min_by_key(|&columns| longer_side(columns)).unwrap_or(1)
}

/// How long so many cells are with the gaps between them.
fn length(cells: usize, cell: usize) -> usize {
    cells * cell + cells.saturating_sub(1) * GAP
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: usize, height: usize, level: u8) -> Image {
        Image { width, height, rgb: vec![level; width * height * 3] }
    }

    #[test]
    fn a_sheet_is_as_square_as_can_be() {
        for (count, (width, height), shape) in [
            (1, (16, 16), (1, 1)),
            (2, (16, 16), (2, 1)),
            (4, (16, 16), (2, 2)),
            (8, (16, 16), (3, 3)),
            (16, (16, 16), (4, 4)),
            (8, (32, 16), (2, 4)),
            (8, (16, 32), (4, 2)),
        ] {
            let sheet = sheet(&vec![plain(width, height, 0); count]);
            assert_eq!(
                (sheet.width, sheet.height),
                (length(shape.0, width), length(shape.1, height)),
                "{count} frames"
            );
            assert_eq!(sheet.rgb.len(), sheet.width * sheet.height * 3);
        }
        assert_eq!(sheet(&[]), plain(0, 0, 0));
    }

    #[test]
    fn frames_stand_in_their_cells_between_white() {
        let levels: Vec<u8> = (0..8).map(|index| 20 * index).collect();
        let sheet = sheet(&levels.iter().map(|&level| plain(10, 10, level)).collect::<Vec<_>>());
        let at = |x: usize, y: usize| sheet.rgb[(y * sheet.width + x) * 3];
        for (index, &level) in levels.iter().enumerate() {
            let (left, top) = (index % 3 * (10 + GAP), index / 3 * (10 + GAP));
            assert_eq!([at(left, top), at(left + 9, top), at(left, top + 9), at(left + 9, top + 9)], [level; 4]);
        }
        let last_cell = 2 * (10 + GAP);
        assert_eq!([at(10, 0), at(0, 10), at(last_cell, last_cell)], [255; 3]);
    }
}
