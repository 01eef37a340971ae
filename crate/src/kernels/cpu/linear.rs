//! Products with a dense W, and what follows them while their rows are in the cache.

use burn::tensor::Tensor;

use super::{
    super::End,
    Array,
    exp::silu,
    product::{Matrix, multiply},
    tensor,
    threads::{self, Piece, cores, rows_at_once},
    vectorized,
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
    let (x, w, finish) = (Array::of(x)?, Array::of(w)?, Finish::of(b, end, m)?);
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
            finish.row(row, z);
        }
    };
    // SAFETY: every value is written by the product.
    let z = unsafe { threads::fill(lengths, || (), fill) };
    Some(tensor(z, [m, n]))
}

/// What becomes of a product.
struct Finish {
    b: Option<Array<1>>,
    end: FinishEnd,
}

enum FinishEnd {
    Plain,
    Residual { other: Array<2>, gates: Array<3>, rows_a_gate: usize },
    Gated(Array<2>),
    Silu(Option<Array<2>>),
}

impl Finish {
    fn of(b: Option<&Tensor<1>>, end: &End, rows: usize) -> Option<Self> {
        let b = Array::of_optional(b)?;
        let end = match end {
            End::Plain => FinishEnd::Plain,
            End::Residual { other, gates } => FinishEnd::Residual {
                other: Array::of(other)?.whole(),
                rows_a_gate: rows / gates.parts.dims()[0],
                gates: Array::of(&gates.vectors())?.whole(),
            },
            End::Gated(other) => FinishEnd::Gated(Array::of(other)?.whole()),
            End::Silu(other) => FinishEnd::Silu(Array::of_optional(other.as_ref())?.map(Array::whole)),
        };
        Some(Self { b, end })
    }

    /// Row number `row` of the product.
    fn row(&self, row: usize, z: &mut [f32]) {
        if let Some(b) = &self.b {
            add(z, b.values());
        }
        match &self.end {
            FinishEnd::Plain => {}
            FinishEnd::Residual { other, gates, rows_a_gate } => {
                let gates = &gates.values()[row / rows_a_gate * z.len()..][..z.len()];
                residual(z, &other.values()[row * z.len()..][..z.len()], gates);
            }
            FinishEnd::Gated(other) => gated(z, &other.values()[row * z.len()..][..z.len()]),
            FinishEnd::Silu(other) => {
                if let Some(other) = other {
                    add(z, &other.values()[row * z.len()..][..z.len()]);
                }
                activated(z);
            }
        }
    }
}

vectorized! {
    fn add(z: &mut [f32], b: &[f32]) {
        for (z, b) in z.iter_mut().zip(b) {
            *z += b;
        }
    }
}

vectorized! {
    fn residual(z: &mut [f32], other: &[f32], gates: &[f32]) {
        for ((z, other), gate) in z.iter_mut().zip(other).zip(gates) {
            *z = other + gate * *z;
        }
    }
}

vectorized! {
    fn activated(z: &mut [f32]) {
        for z in z {
            *z = silu(*z);
        }
    }
}

vectorized! {
    fn gated(z: &mut [f32], other: &[f32]) {
        for (z, &other) in z.iter_mut().zip(other) {
            *z *= silu(other);
        }
    }
}
