//! Strips of W times rows of x.

use super::{
    super::{finish::Finish, threads::Tile},
    rounded::{HEAD, Head, Rounded},
    strip::{Matrix, Strip},
    vector::Vector,
};

/// So many times the rows that are multiplied at once read a strip before the next one comes: what they have in common is
/// in the nearest cache.
const GROUPS: usize = 4;

/// What is multiplied, and what follows.
pub struct Product {
    pub x: Rounded,
    pub w: Matrix,
    pub finish: Finish,
}

/// What a core needs beside the result.
#[derive(Default)]
pub struct Scratch {
    strips: Vec<Strip>,
    /// Rows of the result, as wide as a strip.
    rows: Vec<f32>,
}

/// A tile, `ROWS` rows and a strip of two vectors at a time; x is of numbers of `BITS` bits, or of `PARTS` bytes each.
///
/// # Safety
///
/// The processor has the vector's instructions.
#[inline(always)]
pub unsafe fn multiply_tile<V: Vector, const BITS: usize, const PARTS: usize, const WIDTH: usize, const ROWS: usize>(
    Product { x, w, finish }: &Product,
    Scratch { strips, rows: sums }: &mut Scratch,
    mut tile: Tile,
) {
    const { assert!(WIDTH == 2 * V::LANES) };
    let (rows, columns) = (tile.rows.clone(), tile.columns.clone());
    let count = columns.len().div_ceil(WIDTH);
    strips.resize_with(count.max(strips.len()), Strip::default);
    for (strip, first) in strips.iter_mut().zip(columns.clone().step_by(WIDTH)) {
        strip.fill::<BITS, WIDTH>(w, first);
    }
    sums.resize(ROWS * WIDTH, 0.0);
    for some in rows.clone().step_by(GROUPS * ROWS) {
        let some = some..rows.end.min(some + GROUPS * ROWS);
        for (number, strip) in strips[..count].iter().enumerate() {
            for first in some.clone().step_by(ROWS) {
                // SAFETY: as the caller says.
                unsafe { multiply_rows::<V, BITS, PARTS, ROWS>(x.rows_from(first), x.per_row(), strip, sums) };
                for (row, sums) in (first..some.end.min(first + ROWS)).zip(sums.chunks_exact(WIDTH)) {
                    let into = &mut tile.row(row)[number * WIDTH..];
                    let width = into.len().min(WIDTH);
                    into[..width].write_copy_of_slice(&sums[..width]);
                }
            }
        }
        for row in some {
            // SAFETY: all strips of it were written.
            finish.apply(row, columns.start, unsafe { tile.row(row).assume_init_mut() });
        }
    }
}

/// `ROWS` rows of x, the first ones of it, times a strip, row after row into `sums`.
///
/// # Safety
///
/// The processor has the vector's instructions.
#[inline(always)]
unsafe fn multiply_rows<V: Vector, const BITS: usize, const PARTS: usize, const ROWS: usize>(
    x: &[u32],
    per_row: usize,
    strip: &Strip,
    sums: &mut [f32],
) {
    let (block_words, width) = (HEAD + PARTS * BITS, 2 * V::LANES);
    let blocks = per_row / block_words;
    assert!(x.len() >= ROWS * per_row && sums.len() >= ROWS * width, "{ROWS} rows of {per_row} words");
    assert!(strip.words.len() == blocks * BITS * width && strip.scales.len() == blocks * width);
    let has_min = !strip.mins.is_empty();
    assert!(!has_min || strip.mins.len() == blocks * width);
    let [words, scales, mins, x] =
        [strip.words.as_ptr(), strip.scales.as_ptr().cast(), strip.mins.as_ptr().cast(), x.as_ptr()];
    // SAFETY: all that is read lies in x and the strip, and all that is written in the sums, as was asserted; the processor
    // has the instructions, as the caller says.
    unsafe {
        let mut totals = [[V::splat_float(0.0); 2]; ROWS];
        for block in 0..blocks {
            let x = |row: usize| x.add(row * per_row + block * block_words);
            let head = |row: usize| x(row).cast::<Head>().read();
            let start = |row: usize| V::splat(head(row).start);
            let mut dots: [[V; 2]; ROWS] =
                std::array::from_fn(|row| [if PARTS == 1 { start(row) } else { V::splat(0) }; 2]);
            for part in 0..PARTS {
                if part > 0 {
                    for (row, dots) in dots.iter_mut().enumerate() {
                        let start = start(row);
                        *dots = [dots[0].raise(start), dots[1].raise(start)];
                    }
                }
                for word in 0..BITS {
                    let w = words.add((block * BITS + word) * width);
                    let w = [V::load(w), V::load(w.add(V::LANES))];
                    for (row, dots) in dots.iter_mut().enumerate() {
                        let x = V::splat(x(row).add(HEAD + part * BITS + word).read().cast_signed());
                        *dots = [dots[0].add_products(w[0], x), dots[1].add_products(w[1], x)];
                    }
                }
            }
            let floats = |numbers: *const u32| {
                let numbers = numbers.cast::<f32>().add(block * width);
                [V::load_floats(numbers), V::load_floats(numbers.add(V::LANES))]
            };
            let scales = floats(scales);
            for (row, (totals, dots)) in totals.iter_mut().zip(dots).enumerate() {
                let scale = V::splat_float(head(row).scale);
                for half in 0..2 {
                    totals[half] = V::multiply_add(dots[half].floats(), V::multiply(scales[half], scale), totals[half]);
                }
            }
            if has_min {
                let mins = floats(mins);
                for (row, totals) in totals.iter_mut().enumerate() {
                    let sum = V::splat_float(head(row).sum);
                    for half in 0..2 {
                        totals[half] = V::multiply_add(mins[half], sum, totals[half]);
                    }
                }
            }
        }
        for (row, totals) in totals.into_iter().enumerate() {
            for (half, totals) in totals.into_iter().enumerate() {
                V::store(totals, sums.as_mut_ptr().add(row * width + half * V::LANES));
            }
        }
    }
}
