//! Products with a dense W, and what follows them while their rows are in the cache.

use burn::tensor::Tensor;

use super::{
    super::End,
    Array,
    finish::Finish,
    product::{Matrix, multiply},
    tensor,
    threads::{self, Piece, cores, rows_at_once},
};

/// What a core multiplies and adds in a nanosecond, about.
const PRODUCTS: usize = 40;
/// The product works on so many rows at a time, or a few less.
const ROWS: usize = 8;
/// From so many rows on a product lays W out anew before: pieces that are larger should be few.
const UNPACKED_ROWS: usize = 48;
/// But of no more rows: beyond, their results have left the cache when the end comes.
const MOST_ROWS: usize = 144;
/// So many numbers of W no core's cache holds: it must be laid out, which takes so many rows to be worth it.
const LARGE: usize = 1 << 19;
const LARGE_ROWS: usize = 256;

/// Rows of a piece, and the cores that compute one together.
fn pieces([m, n, k]: [usize; 3]) -> (usize, usize) {
    if n * k < LARGE {
        let at_once = rows_at_once(m, n * k / PRODUCTS);
        let at_once = if at_once <= UNPACKED_ROWS || cores() == 1 { at_once } else { (2 * at_once).min(MOST_ROWS) };
        return (at_once.next_multiple_of(ROWS), 1);
    }
    match m / LARGE_ROWS {
        count if count < cores() => (m, cores()),
        count => (m.div_ceil(count), 1),
    }
}

/// [`dense_linear`](super::super::dense_linear) for plain f32 on the CPU.
pub fn dense_linear(x: &Tensor<2>, w: &Tensor<2>, b: Option<&Tensor<1>>, end: &End) -> Option<Tensor<2>> {
    let ([m, k], [n, _]) = (x.dims(), w.dims());
    if m == 0 || n == 0 || k == 0 {
        return None;
    }
    let (x, w, finish) = (Array::of(x)?, Array::of(w)?, Finish::of(b, end, [m, n])?);
    let [row, column] = x.strides();
    let [w_row, w_column] = w.strides();
    let (values, w) = (x.values(), Matrix { values: w.values(), row: w_column, column: w_row });
    let (at_once, cores) = pieces([m, n, k]);
    let lengths = threads::lengths(m, at_once, n);
    let fill = |(): &mut (), Piece { first, values: z }: Piece| {
        let (first, rows) = (first / n, z.len() / n);
        let x = Matrix { values: &values[first * row..], row, column };
        multiply([rows, n, k], x, w, z, n, cores);
        // SAFETY: the product was written to it.
        let z = unsafe { z.assume_init_mut() };
        for (row, z) in (first..).zip(z.chunks_exact_mut(n)) {
            finish.apply(row, 0, z);
        }
    };
    // SAFETY: every value is written by the product.
    let z = unsafe { threads::fill(lengths, || (), fill) };
    Some(tensor(z, [m, n]))
}
