//! Scaled dot-product attention, some queries and some keys at a time.

use std::mem::MaybeUninit;

use burn::tensor::Tensor;

use super::{
    Array,
    exp::exp,
    product::{Matrix, add_product, multiply},
    sums::{max, sum},
    tensor,
    threads::{self, Piece, rows_at_once},
    vectorized,
};

/// What a core multiplies and adds in a nanosecond in matrices as small as these.
const PRODUCTS: usize = 25;
/// Scores that a core makes at a time; they stay in its cache, however many keys there are.
const SCORES: usize = 1 << 16;
/// Of so many queries if there are: the keys are read once for all of them.
const LEAST_QUERIES: usize = 64;

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
    let nanoseconds = heads * keys * (2 * width).div_ceil(PRODUCTS);
    let at_once = rows_at_once(batch * queries, nanoseconds).min((SCORES / keys).max(LEAST_QUERIES)).min(queries);
    let keys_at_once = equal_parts(keys, SCORES / at_once);
    // What a cache does not hold is read again and again: that should be whole lines of it, one after the other.
    let keys_of = |x| Some(if keys_at_once < keys { Array::of(x)?.whole() } else { Array::of(x)? });
    let heads_of = Heads {
        q: Array::of(q)?,
        k: keys_of(k)?,
        v: keys_of(v)?,
        bias: Array::of_optional(bias)?,
        scale: scale as f32,
        onto: match onto {
            Some((other, gates)) => Some((Array::of(other)?.in_rows(), Array::of(gates)?.in_rows())),
            None => None,
        },
    };
    let lengths = (0..batch).flat_map(|_| threads::lengths(queries, at_once, heads * width));
    let scratch = || Scratch {
        keys_at_once,
        scores: Box::new_uninit_slice(at_once * keys_at_once),
        softmax: vec![Softmax::EMPTY; at_once],
    };
    // SAFETY: every head of every query of a piece is written.
    let out = unsafe { threads::fill(lengths, scratch, |scratch, piece| heads_of.attend(scratch, piece)) };
    Some(tensor(out, [batch, queries, heads, width]).swap_dims(1, 2)) // [B, H, N, d]
}

/// The length of parts that are about equal, and no longer than `most` (at least 1).
fn equal_parts(count: usize, most: usize) -> usize {
    count.div_ceil(count.div_ceil(most.max(1)))
}

/// What a core needs beside the result.
struct Scratch {
    keys_at_once: usize,
    /// Of all queries with some keys.
    scores: Box<[MaybeUninit<f32>]>,
    /// Query by query.
    softmax: Vec<Softmax>,
}

/// What is known of a query after some of the keys (online softmax, arXiv 1805.02867).
#[derive(Clone, Copy)]
struct Softmax {
    highest: f32,
    /// Of the weights, exp(score − highest).
    sum: f32,
}

impl Softmax {
    /// Lower than every score, and finite, so that scores of −∞ weigh nothing.
    const EMPTY: Self = Self { highest: f32::MIN, sum: 0.0 };

    /// Turns scores with more keys, the highest given, to weights; with what the earlier ones must be multiplied.
    fn add(&mut self, scores: &mut [f32], highest: f32) -> f32 {
        let highest = highest.max(self.highest);
        let kept = exp(self.highest - highest);
        *self = Self { highest, sum: self.sum * kept + exponentials(scores, highest) };
        kept
    }
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
    fn attend(&self, scratch: &mut Scratch, Piece { first, values: out }: Piece) {
        let [_, heads, queries, width] = self.q.dims();
        let keys = self.k.dims()[2];
        let first = first / (heads * width);
        let (batch, query) = (first / queries, first % queries);
        for head in 0..heads {
            let out = &mut out[head * width..];
            scratch.softmax.fill(Softmax::EMPTY);
            for key in (0..keys).step_by(scratch.keys_at_once) {
                self.add_keys([batch, head, query, key], scratch, out);
            }
            for ((query, row), softmax) in (query..).zip(out.chunks_mut(heads * width)).zip(&scratch.softmax) {
                // SAFETY: the products wrote this head of every query.
                let row = unsafe { row[..width].assume_init_mut() };
                scale(row, 1.0 / softmax.sum);
                if let Some((other, gates)) = &self.onto {
                    add_gated(row, gates.values()[head], &matrix(other, [batch, head, query]).values[..width]);
                }
            }
        }
    }

    /// One head of some queries, from one on, and some keys, from one on; values are summed by weights that are not yet
    /// divided by their sum. `out` begins with the head of the first query.
    fn add_keys(
        &self,
        [batch, head, query, key]: [usize; 4],
        Scratch { keys_at_once, scores, softmax }: &mut Scratch,
        out: &mut [MaybeUninit<f32>],
    ) {
        let [_, heads, _, width] = self.q.dims();
        let [_, kv_heads, keys, _] = self.k.dims();
        let (kv_head, keys) = (head / (heads / kv_heads), keys.min(key + *keys_at_once) - key);
        let queries = out.len().div_ceil(heads * width);
        let (q, k) = (matrix(&self.q, [batch, head, query]), matrix(&self.k, [batch, kv_head, key]));
        let scores = &mut scores[..queries * keys];
        multiply([queries, keys, width], q, k.turned(), scores, keys, 1);
        // SAFETY: the product was written to it.
        let weights = unsafe { scores.assume_init_mut() };
        let rows = weights.chunks_exact_mut(keys).zip(softmax).zip(out.chunks_mut(heads * width));
        for (query, ((row, softmax), out)) in (query..).zip(rows) {
            let highest = match &self.bias {
                Some(bias) => {
                    let bias = &matrix(bias, [batch, head, query]).values[key..];
                    scale_and_add(row, self.scale, &bias[..keys])
                }
                None => scale_to_highest(row, self.scale),
            };
            let kept = softmax.add(row, highest);
            if key > 0 && kept < 1.0 {
                // SAFETY: the product with the first keys wrote this head of every query.
                scale(unsafe { out[..width].assume_init_mut() }, kept);
            }
        }
        let weights = Matrix { values: weights, row: keys, column: 1 };
        let (v, shape) = (matrix(&self.v, [batch, kv_head, key]), [queries, width, keys]);
        match key {
            0 => multiply(shape, weights, v, out, heads * width, 1),
            // SAFETY: the product with the first keys wrote this head of every query.
            _ => unsafe { add_product(shape, weights, v, out, heads * width) },
        }
    }
}

/// The tokens of one head, from one on.
fn matrix(x: &Array<4>, [batch, head, token]: [usize; 3]) -> Matrix<'_> {
    let [of_batch, of_head, row, column] = x.strides();
    Matrix { values: &x.values()[batch * of_batch + head * of_head + token * row..], row, column }
}

vectorized! {
    fn scale(row: &mut [f32], factor: f32) {
        for x in row {
            *x *= factor;
        }
    }
}

vectorized! {
    /// Scaled, and the highest of them.
    fn scale_to_highest(scores: &mut [f32], scale: f32) -> f32 {
        for score in &mut *scores {
            *score *= scale;
        }
        max(scores)
    }
}

vectorized! {
    /// Scaled, with a bias, and the highest of them.
    fn scale_and_add(scores: &mut [f32], scale: f32, bias: &[f32]) -> f32 {
        for (score, bias) in scores.iter_mut().zip(bias) {
            *score = *score * scale + bias;
        }
        max(scores)
    }
}

vectorized! {
    /// exp(score − highest) in place of each score, and their sum.
    fn exponentials(scores: &mut [f32], highest: f32) -> f32 {
        for x in &mut *scores {
            *x = exp(*x - highest);
        }
        sum(scores, |x| x)
    }
}

vectorized! {
    fn add_gated(row: &mut [f32], gate: f32, other: &[f32]) {
        for (x, other) in row.iter_mut().zip(other) {
            *x = other + gate * *x;
        }
    }
}
