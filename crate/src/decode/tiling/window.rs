//! Tiles: what of a picture each of them holds, and how far around it its pixels depend on.

use burn::tensor::Tensor;

/// One side of a tile at one resolution: the pixels that are its own, and on either side those that they depend on. At
/// the picture's border there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    pub before: usize,
    pub core: usize,
    pub after: usize,
}

impl Side {
    fn length(self) -> usize {
        self.before + self.core + self.after
    }

    fn within(self, margin: usize) -> Self {
        Self { before: self.before.min(margin), core: self.core, after: self.after.min(margin) }
    }

    fn times(self, scale: usize) -> Self {
        Self { before: scale * self.before, core: scale * self.core, after: scale * self.after }
    }
}

/// Height and width of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub rows: Side,
    pub columns: Side,
}

impl Window {
    /// A picture without a cut.
    pub fn whole(height: usize, width: usize) -> Self {
        let side = |core| Side { before: 0, core, after: 0 };
        Self { rows: side(height), columns: side(width) }
    }

    pub fn area(self) -> usize {
        self.rows.length() * self.columns.length()
    }

    /// With no more than `margin` around the tile's own pixels.
    pub fn within(self, margin: usize) -> Self {
        Self { rows: self.rows.within(margin), columns: self.columns.within(margin) }
    }

    /// With so many pixels along each side of one.
    pub fn times(self, scale: usize) -> Self {
        Self { rows: self.rows.times(scale), columns: self.columns.times(scale) }
    }

    /// Of x, which holds this window, the tile's own pixels.
    pub fn core(self, x: Tensor<4>) -> Tensor<4> {
        self.cut(x, self.within(0))
    }

    /// Of x, which holds this window, what an `inner` one holds.
    pub fn cut(self, x: Tensor<4>, inner: Self) -> Tensor<4> {
        let cut = |x: Tensor<4>, dim, outer: Side, inner: Side| match outer == inner {
            true => x,
            false => x.narrow(dim, outer.before - inner.before, inner.length()),
        };
        cut(cut(x, 2, self.rows, inner.rows), 3, self.columns, inner.columns)
    }
}

/// A tile of a latent: its first own row and column, and its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub top: usize,
    pub left: usize,
    pub window: Window,
}

impl Tile {
    fn new((top, rows): (usize, Side), (left, columns): (usize, Side)) -> Self {
        Self { top, left, window: Window { rows, columns } }
    }

    /// Cut out of x, `[B, C, scale·h, scale·w]`.
    pub fn of(self, x: Tensor<4>, scale: usize) -> Tensor<4> {
        let Window { rows, columns } = self.window;
        let x = x.narrow(2, scale * (self.top - rows.before), scale * rows.length());
        x.narrow(3, scale * (self.left - columns.before), scale * columns.length())
    }
}

/// Rows of tiles that together are the latent, none longer than `side`.
pub(super) fn tiles(height: usize, width: usize, side: usize, margin: usize) -> Vec<Vec<Tile>> {
    let columns = partition(width, side, margin);
    let row = |row| columns.iter().map(|&column| Tile::new(row, column)).collect();
    partition(height, side, margin).into_iter().map(row).collect()
}

/// Tiles spread evenly over the latent, `count` along each axis, all with the same window. An axis too short for a
/// tile with both margins is in each tile as a whole.
pub(super) fn sample(height: usize, width: usize, side: usize, margin: usize, count: usize) -> Vec<Tile> {
    let columns = spread(width, side, margin, count);
    let row = |row| columns.iter().map(move |&column| Tile::new(row, column));
    spread(height, side, margin, count).into_iter().flat_map(row).collect()
}

/// As few parts as there can be, of lengths as equal as can be.
fn partition(length: usize, most: usize, margin: usize) -> Vec<(usize, Side)> {
    let count = length.div_ceil(most);
    let start = |part: usize| part * length / count;
    let part = |part| {
        let (start, end) = (start(part), start(part + 1));
        (start, Side { before: margin.min(start), core: end - start, after: margin.min(length - end) })
    };
    (0..count).map(part).collect()
}

fn spread(length: usize, core: usize, margin: usize, count: usize) -> Vec<(usize, Side)> {
    let Some(free) = length.checked_sub(core + 2 * margin) else {
        return vec![(0, Side { before: 0, core: length, after: 0 })];
    };
    let place = |i: usize| margin + free * i / (count - 1).max(1);
    (0..count).map(|i| (place(i), Side { before: margin, core, after: margin })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_the_latent_and_their_margins_end_at_its_border() {
        for (length, most, margin) in [(1, 1, 7), (17, 5, 3), (64, 64, 7), (65, 64, 7), (100, 1, 2)] {
            let parts = partition(length, most, margin);
            let mut next = 0;
            for &(start, side) in &parts {
                assert_eq!(start, next);
                assert!((1..=most).contains(&side.core));
                assert_eq!((side.before, side.after), (margin.min(start), margin.min(length - start - side.core)));
                next += side.core;
            }
            assert_eq!((next, parts.len()), (length, length.div_ceil(most)));
        }
    }

    #[test]
    fn a_sample_is_alike_and_inside() {
        for tile in sample(40, 31, 9, 7, 4) {
            assert_eq!(tile.window, Window { rows: tile.window.rows, columns: tile.window.rows });
            assert_eq!(tile.window.rows, Side { before: 7, core: 9, after: 7 });
            assert!((7..=40 - 16).contains(&tile.top) && (7..=31 - 16).contains(&tile.left));
        }
        let short = sample(40, 22, 9, 7, 4);
        assert_eq!((short.len(), short[3].window.columns), (4, Side { before: 0, core: 22, after: 0 }));
    }
}
