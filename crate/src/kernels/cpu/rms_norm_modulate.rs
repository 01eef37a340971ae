//! RMS norm, scale and shift, token by token.

use std::mem::MaybeUninit;

use burn::tensor::Tensor;

use super::{
    super::rms_norm_modulate::{Adaptation, Norm},
    Array,
    sums::sum,
    tensor,
    threads::{self, Piece, rows_at_once},
    vectorized,
};

/// Numbers that a core norms in a nanosecond, about.
const NUMBERS: usize = 2;

/// [`rms_norm_modulate`](super::super::rms_norm_modulate()) for plain f32 on the CPU.
pub fn rms_norm_modulate(x: &Tensor<3>, norm: &Norm, adaptation: Option<&Adaptation>) -> Option<Tensor<3>> {
    let [batch, tokens, width] = x.dims();
    if x.dims().contains(&0) {
        return None;
    }
    let x = Array::of(x)?.in_rows();
    let weight = Array::of_optional(norm.weight.as_ref())?;
    let parts = Array::of_optional(adaptation.map(|adaptation| &adaptation.parts))?;
    let [of_batch, of_token, _] = x.strides();
    let fill = |(): &mut (), Piece { first, values: y }: Piece| {
        for (token, y) in (first / width..).zip(y.chunks_exact_mut(width)) {
            let row = token / tokens;
            let x = &x.values()[row * of_batch + token % tokens * of_token..][..width];
            normed(y, x, norm.epsilon as f32);
            // SAFETY: the norm wrote all of them.
            let y = unsafe { y.assume_init_mut() };
            if let Some(weight) = &weight {
                multiplied(y, &weight.values()[..width], norm.offset as f32);
            }
            if let Some((parts, Adaptation { scale, shift, .. })) = parts.as_ref().zip(adaptation) {
                let [of_row, of_part, _] = parts.strides();
                let part = |number: usize| &parts.values()[row * of_row + number * of_part..][..width];
                multiplied(y, part(*scale), 1.0);
                if let Some(shift) = shift {
                    shifted(y, part(*shift));
                }
            }
        }
    };
    let rows = batch * tokens;
    let lengths = threads::lengths(rows, rows_at_once(rows, width / NUMBERS), width);
    // SAFETY: every row is written.
    let y = unsafe { threads::fill(lengths, || (), fill) };
    Some(tensor(y, [batch, tokens, width]))
}

vectorized! {
    fn normed(y: &mut [MaybeUninit<f32>], x: &[f32], epsilon: f32) {
        let mean_square = sum(x, |x| x * x) / x.len() as f32;
        let factor = 1.0 / (mean_square + epsilon).sqrt();
        for (y, x) in y.iter_mut().zip(x) {
            y.write(x * factor);
        }
    }
}

vectorized! {
    fn multiplied(y: &mut [f32], factors: &[f32], offset: f32) {
        for (y, factor) in y.iter_mut().zip(factors) {
            *y *= factor + offset;
        }
    }
}

vectorized! {
    fn shifted(y: &mut [f32], shift: &[f32]) {
        for (y, shift) in y.iter_mut().zip(shift) {
            *y += shift;
        }
    }
}
