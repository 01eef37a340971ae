//! Rows of a result, computed by all cores: natively those of rayon's pool beside the caller, in a browser the caller alone.

use std::{
    mem::MaybeUninit,
    sync::{Mutex, PoisonError},
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
pub struct Piece<'a> {
    pub first: usize,
    pub values: &'a mut [MaybeUninit<f32>],
}

/// Numbers in pieces of these lengths, which `fill` fills; each core takes the next one when it is done with one, and keeps
/// what `scratch` made.
///
/// # Safety
///
/// `fill` must write every value of a piece.
pub unsafe fn fill<S>(
    lengths: impl Iterator<Item = usize>,
    scratch: impl Fn() -> S + Sync,
    fill: impl Fn(&mut S, Piece) + Sync,
) -> Vec<f32> {
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

fn cut<'a>(mut rest: &'a mut [MaybeUninit<f32>], lengths: &[usize]) -> Vec<Piece<'a>> {
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
struct Pieces<'a>(Mutex<vec::IntoIter<Piece<'a>>>);

impl<'a> Pieces<'a> {
    fn next(&self) -> Option<Piece<'a>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
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
    fn short_work_stays_together() {
        assert_eq!(rows_at_once(100, 1), 100);
        let pieces = if cores() == 1 { 1 } else { PIECES * cores() };
        assert_eq!(rows_at_once(100, PIECE_NANOSECONDS), 100usize.div_ceil(pieces));
        assert_eq!([rows_at_once(0, 1), rows_at_once(1, usize::MAX)], [1, 1]);
    }
}
