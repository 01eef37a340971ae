//! Rows of a result, computed by all cores: natively those of rayon's pool beside the caller, in a browser the caller alone.

use std::{
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    vec,
};

/// What is worth being handed to another core: waking one takes some 10 µs, and longer on a busy machine.
const PIECE_NANOSECONDS: usize = 25_000;
/// Of each core, so that one that comes late leaves its share to the others.
const PIECES: usize = 4;

/// Rows that are computed at a time, of so many that take so long each.
pub fn rows_at_once(rows: usize, nanoseconds: usize) -> usize {
    if cores() == 1 {
        return rows.max(1);
    }
    let least = PIECE_NANOSECONDS / nanoseconds.max(1);
    rows.div_ceil(PIECES * cores()).max(least).clamp(1, rows.max(1))
}

/// Numbers of each piece of rows of `width` numbers, so many rows at a time.
pub fn lengths(rows: usize, at_once: usize, width: usize) -> impl Iterator<Item = usize> {
    (0..rows).step_by(at_once).map(move |first| at_once.min(rows - first) * width)
}

/// How many cores compute.
pub fn cores() -> usize {
    #[cfg(not(target_family = "wasm"))]
    return rayon::current_num_threads();
    #[cfg(target_family = "wasm")]
    1
}

/// Consecutive values of a result, which begin with number `first`.
pub struct Piece<'a, T = f32> {
    pub first: usize,
    pub values: &'a mut [MaybeUninit<T>],
}

/// Values in pieces of these lengths, which `fill` fills; each core takes the next one when it is done with one, and keeps
/// what `scratch` made.
///
/// # Safety
///
/// `fill` must write every value of a piece.
pub unsafe fn fill<T: Send, S>(
    lengths: impl Iterator<Item = usize>,
    scratch: impl Fn() -> S + Sync,
    fill: impl Fn(&mut S, Piece<T>) + Sync,
) -> Vec<T> {
    let lengths: Vec<usize> = lengths.collect();
    let count = lengths.iter().sum();
    let mut values = Vec::with_capacity(count);
    let pieces = Pieces(Mutex::new(cut(&mut values.spare_capacity_mut()[..count], &lengths).into_iter()));
    let work = || {
        let mut scratch = scratch();
        while let Some(piece) = pieces.next() {
            fill(&mut scratch, piece);
        }
    };
    on_cores(lengths.len().min(cores()), work);
    // SAFETY: all pieces together are all values, and the caller says that each is filled.
    unsafe { values.set_len(count) };
    values
}

fn cut<'a, T>(mut rest: &'a mut [MaybeUninit<T>], lengths: &[usize]) -> Vec<Piece<'a, T>> {
    let mut first = 0;
    let piece = |&length: &usize| {
        let (values, behind) = std::mem::take(&mut rest).split_at_mut(length);
        rest = behind;
        first += length;
        Piece { first: first - length, values }
    };
    lengths.iter().map(piece).collect()
}

/// What is still to be filled.
struct Pieces<'a, T>(Mutex<vec::IntoIter<Piece<'a, T>>>);

impl<'a, T> Pieces<'a, T> {
    fn next(&self) -> Option<Piece<'a, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

/// Some rows and columns of a matrix that is being filled.
pub struct Tile<'a> {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// The matrix, whose rows have so many numbers.
    matrix: *mut MaybeUninit<f32>,
    width: usize,
    of: PhantomData<&'a mut f32>,
}

impl Tile<'_> {
    /// What the tile has of a row of the matrix.
    pub fn row(&mut self, row: usize) -> &mut [MaybeUninit<f32>] {
        assert!(self.rows.contains(&row), "row {row} is of another tile");
        // SAFETY: tiles lie in their matrix and share nothing.
        unsafe {
            let first = self.matrix.add(row * self.width + self.columns.start);
            std::slice::from_raw_parts_mut(first, self.columns.len())
        }
    }
}

/// The matrix `shape` in tiles of these sides, smaller at its edges, which `fill` fills by so many cores at most; tiles of
/// the same rows follow each other.
///
/// # Safety
///
/// `fill` must write every number of a tile.
pub unsafe fn fill_tiles<S>(
    shape: [usize; 2],
    sides: [usize; 2],
    most_cores: usize,
    scratch: impl Fn() -> S + Sync,
    fill: impl Fn(&mut S, Tile) + Sync,
) -> Vec<f32> {
    struct Matrix(*mut MaybeUninit<f32>);
    // SAFETY: each core writes tiles of its own.
    unsafe impl Sync for Matrix {}
    impl Matrix {
        fn start(&self) -> *mut MaybeUninit<f32> {
            self.0
        }
    }

    let [height, width] = shape;
    let [down, across] = [0, 1].map(|side| shape[side].div_ceil(sides[side]));
    let mut values = Vec::with_capacity(height * width);
    let (matrix, next) = (Matrix(values.spare_capacity_mut().as_mut_ptr()), AtomicUsize::new(0));
    let work = || {
        let mut scratch = scratch();
        loop {
            let tile = next.fetch_add(1, Ordering::Relaxed);
            if tile >= down * across {
                return;
            }
            let at = [tile / across * sides[0], tile % across * sides[1]];
            let [rows, columns] = [0, 1].map(|side| at[side]..shape[side].min(at[side] + sides[side]));
            fill(&mut scratch, Tile { rows, columns, matrix: matrix.start(), width, of: PhantomData });
        }
    };
    on_cores((down * across).min(cores()).min(most_cores), work);
    // SAFETY: all tiles together are all numbers, and the caller says that each is filled.
    unsafe { values.set_len(height * width) };
    values
}

/// How many cores are worth being woken for what takes so long.
pub fn cores_for(nanoseconds: usize) -> usize {
    (nanoseconds / PIECE_NANOSECONDS).max(1)
}

/// Runs `work` on so many cores, the caller's among them.
#[cfg(not(target_family = "wasm"))]
fn on_cores(count: usize, work: impl Fn() + Sync) {
    if count <= 1 {
        return work();
    }
    rayon::in_place_scope(|scope| {
        for _ in 1..count {
            scope.spawn(|_| work());
        }
        work();
    });
}

#[cfg(target_family = "wasm")]
fn on_cores(_: usize, work: impl Fn()) {
    work();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole() {
        let lengths = [3, 0, 5, 1, 40, 2];
        let number = |i: usize| (i * i) as f32;
        let fill_one = |(): &mut (), piece: Piece| {
            for (i, value) in piece.values.iter_mut().enumerate() {
                value.write(number(piece.first + i));
            }
        };
        // SAFETY: every value is written.
        let filled = unsafe { fill(lengths.into_iter(), || (), fill_one) };
        assert_eq!(filled, (0..51).map(number).collect::<Vec<_>>());
    }

    #[test]
    fn tiles_make_the_whole() {
        for (shape, sides) in [([7, 10], [3, 4]), ([1, 1], [8, 8]), ([5, 64], [5, 16]), ([0, 3], [2, 2])] {
            let number = |row: usize, column: usize| (row * 100 + column) as f32;
            let fill = |(): &mut (), mut tile: Tile| {
                for row in tile.rows.clone() {
                    let columns = tile.columns.clone();
                    for (column, value) in columns.zip(tile.row(row)) {
                        value.write(number(row, column));
                    }
                }
            };
            // SAFETY: every number is written.
            let filled = unsafe { fill_tiles(shape, sides, usize::MAX, || (), fill) };
            let expected = (0..shape[0]).flat_map(|row| (0..shape[1]).map(move |column| number(row, column)));
            assert_eq!(filled, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn short_work_stays_together() {
        assert_eq!(rows_at_once(100, 1), 100);
        let pieces = if cores() == 1 { 1 } else { PIECES * cores() };
        assert_eq!(rows_at_once(100, PIECE_NANOSECONDS), 100usize.div_ceil(pieces));
        assert_eq!([rows_at_once(0, 1), rows_at_once(1, usize::MAX)], [1, 1]);
    }
}
