//! Scaled dot-product attention, some queries at a time.

use std::mem::MaybeUninit;

use burn::tensor::Tensor;

use super::{
    Array,
    exp::exp,
    product::{Matrix, multiply},
    sums::{max, sum},
    tensor,
    threads::{self, Piece, rows_at_once},
    vectorized,
};

/// What a core multiplies and adds in a nanosecond in matrices as small as these.
const PRODUCTS: usize = 25;
/// Scores that a core makes at a time; they stay in its cache.
const SCORES: usize = 1 << 16;
/// But of so many queries: the keys are read once for all of them.
const LEAST_QUERIES: usize = 16;

/// [`attention`](super::super::attention()) for plain f32 on the CPU, where `onto` is given as the end of
/// [`add_attention`](super::super::attention::add_attention). The result lies as `[B, N, H, d]` does.
pub fn attention(
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    scale: f64,
    bias: Option<&Tensor<4>>,
    onto: Option<(&Tensor<4>, &Tensor<1>)>,
) -> Option<Tensor<4>> {
    let ([batch, heads, queries, width], keys) = (q.dims(), k.dims()[2]);
    if [q, k, v].iter().any(|x| x.dims().contains(&0)) || bias.is_some_and(|bias| bias.dims()[3] != keys) {
        return None;
    }
    let heads_of = Heads {
        q: Array::of(q)?,
        k: Array::of(k)?,
        v: Array::of(v)?,
        bias: Array::of_optional(bias)?,
        scale: scale as f32,
        onto: match onto {
            Some((other, gates)) => Some((Array::of(other)?.in_rows(), Array::of(gates)?.in_rows())),
            None => None,
        },
    };
    let nanoseconds = heads * keys * (2 * width).div_ceil(PRODUCTS);
    let at_once = rows_at_once(batch * queries, nanoseconds).min((SCORES / keys).max(LEAST_QUERIES)).min(queries);
    let lengths = (0..batch).flat_map(|_| threads::lengths(queries, at_once, heads * width));
    let scores = || Box::new_uninit_slice(at_once * keys);
    // SAFETY: every head of every query of a piece is written.
    let out = unsafe { threads::fill(lengths, scores, |scores, piece| heads_of.attend(scores, piece)) };
    Some(tensor(out, [batch, queries, heads, width]).swap_dims(1, 2)) // [B, H, N, d]
}

struct Heads {
    q: Array<4>,
    k: Array<4>,
    v: Array<4>,
    bias: Option<Array<4>>,
    scale: f32,
    /// What it is added to, and by which factor for each head.
    onto: Option<(Array<4>, Array<1>)>,
}

impl Heads {
    /// All heads of some queries of one row of the batch.
    fn attend(&self, scores: &mut [MaybeUninit<f32>], Piece { first, values: out }: Piece) {
        let [_, heads, queries, width] = self.q.dims();
        let [_, kv_heads, keys, _] = self.k.dims();
        let (first, count) = (first / (heads * width), out.len() / (heads * width));
        let (batch, query) = (first / queries, first % queries);
        let scores = &mut scores[..count * keys];
        for head in 0..heads {
            let kv_head = head / (heads / kv_heads);
            let q = matrix(&self.q, [batch, head, query]);
            let k = matrix(&self.k, [batch, kv_head, 0]);
            multiply([count, keys, width], q, k.turned(), scores, keys, 1);
            // SAFETY: the product was written to it.
            let weights = unsafe { scores.assume_init_mut() };
            for (query, row) in (query..).zip(weights.chunks_exact_mut(keys)) {
                match &self.bias {
                    Some(bias) => add_scaled(row, self.scale, &matrix(bias, [batch, head, query]).values[..keys]),
                    None => scale(row, self.scale),
                }
                softmax(row);
            }
            let weights = Matrix { values: weights, row: keys, column: 1 };
            let v = matrix(&self.v, [batch, kv_head, 0]);
            let out = &mut out[head * width..];
            multiply([count, width, keys], weights, v, out, heads * width, 1);
            if let Some((other, gates)) = &self.onto {
                for (query, row) in (query..).zip(out.chunks_mut(heads * width)) {
                    // SAFETY: the product wrote this head of every query.
                    let row = unsafe { row[..width].assume_init_mut() };
                    add_gated(row, gates.values()[head], &matrix(other, [batch, head, query]).values[..width]);
                }
            }
        }
    }
}

/// The tokens of one head, from one on.
fn matrix(x: &Array<4>, [batch, head, token]: [usize; 3]) -> Matrix<'_> {
    let [of_batch, of_head, row, column] = x.strides();
    Matrix { values: &x.values()[batch * of_batch + head * of_head + token * row..], row, column }
}

vectorized! {
    fn scale(scores: &mut [f32], scale: f32) {
        for score in scores {
            *score *= scale;
        }
    }
}

vectorized! {
    fn add_scaled(scores: &mut [f32], scale: f32, bias: &[f32]) {
        for (score, bias) in scores.iter_mut().zip(bias) {
            *score = *score * scale + bias;
        }
    }
}

vectorized! {
    fn softmax(row: &mut [f32]) {
        let highest = max(row);
        for x in &mut *row {
            *x = exp(*x - highest);
        }
        let share = 1.0 / sum(row, |x| x);
        for x in row {
            *x *= share;
        }
    }
}

vectorized! {
    fn add_gated(row: &mut [f32], gate: f32, other: &[f32]) {
        for (x, other) in row.iter_mut().zip(other) {
            *x = other + gate * *x;
        }
    }
}
