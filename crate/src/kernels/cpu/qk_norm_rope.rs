//! Layer norm over all heads of a token, then RoPE, token by token.

use std::mem::MaybeUninit;

use burn::tensor::Tensor;

use super::{
    super::qk_norm_rope::{Norm, Pairing, Rotation},
    Array,
    sums::sum,
    tensor,
    threads::{self, Piece, rows_at_once},
    vectorized,
};

/// Numbers that a core norms and turns in a nanosecond, about.
const NUMBERS: usize = 2;

/// [`qk_norm_rope`](super::super::qk_norm_rope()) for plain f32 on the CPU. The result lies as `[B, N, H, d]` does.
pub fn qk_norm_rope(x: &Tensor<3>, heads: usize, norm: Option<&Norm>, rotation: &Rotation) -> Option<Tensor<4>> {
    let [batch, tokens, width] = x.dims();
    if x.dims().contains(&0) {
        return None;
    }
    let x = Array::of(x)?.in_rows();
    let norm = match norm {
        Some(Norm { weight, bias, epsilon }) => {
            Some((Array::of(weight)?.in_rows(), Array::of(bias)?.in_rows(), *epsilon as f32))
        }
        None => None,
    };
    let [cos, sin] = [Array::of(&rotation.cos)?.in_rows(), Array::of(&rotation.sin)?.in_rows()];
    let head = width / heads;
    let turn = match rotation.pairing() {
        Pairing::Adjacent => turn_adjacent,
        Pairing::Halves => turn_halves,
    };
    let [of_batch, of_token, _] = x.strides();
    let fill = |scratch: &mut Box<[MaybeUninit<f32>]>, Piece { first, values: y }: Piece| {
        for (token, y) in (first / width..).zip(y.chunks_exact_mut(width)) {
            let (row, token) = (token / tokens, token % tokens);
            let x = &x.values()[row * of_batch + token * of_token..][..width];
            let x = match &norm {
                Some((weight, bias, epsilon)) => {
                    normed(scratch, x, &weight.values()[..width], &bias.values()[..width], *epsilon);
                    // SAFETY: the norm wrote all of them.
                    unsafe { scratch.assume_init_ref() }
                }
                None => x,
            };
            let [cos, sin] = [&cos, &sin].map(|table| {
                let [of_row, _, of_token, _] = table.strides();
                &table.values()[row * of_row + token * of_token..][..head]
            });
            for (y, x) in y.chunks_exact_mut(head).zip(x.chunks_exact(head)) {
                turn(y, x, cos, sin);
            }
        }
    };
    let rows = batch * tokens;
    let lengths = threads::lengths(rows, rows_at_once(rows, width / NUMBERS), width);
    // SAFETY: every head of every row is written.
    let y = unsafe { threads::fill(lengths, || Box::new_uninit_slice(width), fill) };
    Some(tensor(y, [batch, tokens, heads, head]).swap_dims(1, 2)) // [B, H, N, d]
}

vectorized! {
    fn normed(y: &mut [MaybeUninit<f32>], x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) {
        let mean = sum(x, |x| x) / x.len() as f32;
        let variance = sum(x, |x| (x - mean) * (x - mean)) / x.len() as f32;
        let factor = 1.0 / (variance + epsilon).sqrt();
        for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
            y.write((x - mean) * factor * weight + bias);
        }
    }
}

vectorized! {
    fn turn_adjacent(y: &mut [MaybeUninit<f32>], x: &[f32], cos: &[f32], sin: &[f32]) {
        let tables = cos.as_chunks::<2>().0.iter().zip(sin.as_chunks::<2>().0);
        for ((y, &[a, b]), (cos, sin)) in y.as_chunks_mut::<2>().0.iter_mut().zip(x.as_chunks::<2>().0).zip(tables) {
            y[0].write(a * cos[0] - b * sin[0]);
            y[1].write(b * cos[1] + a * sin[1]);
        }
    }
}

vectorized! {
    fn turn_halves(y: &mut [MaybeUninit<f32>], x: &[f32], cos: &[f32], sin: &[f32]) {
        let half = x.len() / 2;
        let (near, far) = x.split_at(half);
        for (i, (&a, &b)) in near.iter().zip(far).enumerate() {
            y[i].write(a * cos[i] - b * sin[i]);
            y[half + i].write(b * cos[half + i] + a * sin[half + i]);
        }
    }
}
