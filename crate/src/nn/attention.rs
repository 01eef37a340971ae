//! Scaled dot-product attention.

use burn::tensor::{Tensor, activation::softmax};

/// Added to the score of a key that must not be attended to. Far below any score, and finite: a row whose keys
/// are all masked gives an average instead of NaN.
pub const MASKED: f32 = -1.0e9;

/// The most bytes of scores at once.
pub const SCORES_BYTES: u64 = 64 << 20;

/// `softmax(scale · q kᵀ + bias) v`: `[B, H, N, d]`, `[B, H, M, d]`, `[B, H, M, d]` and a bias that broadcasts to
/// `[B, H, N, M]` give `[B, H, N, d]`.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, bias: Option<Tensor<4>>) -> Tensor<4> {
    let scores = (q * scale).matmul(k.swap_dims(2, 3)); // [B, H, N, M]
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    softmax(scores, 3).matmul(v) // [B, H, N, d]
}

/// [`attention`] without a bias, for as many queries at a time as leave their scores within `most_bytes`: every query's
/// result is its own, so nothing changes but the memory.
pub fn attention_by_rows(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, most_bytes: usize) -> Tensor<4> {
    let [batch, heads, queries, _] = q.dims();
    let row_bytes = batch * heads * k.dims()[2] * size_of::<f32>();
    let rows = (most_bytes / row_bytes).max(1);
    if queries <= rows {
        return attention(q, k, v, scale, None);
    }
    let part = |start| {
        let q = q.clone().narrow(2, start, rows.min(queries - start));
        attention(q, k.clone(), v.clone(), scale, None)
    };
    Tensor::cat((0..queries).step_by(rows).map(part).collect(), 2) // [B, H, N, d]
}

/// `[B, N, H·d]` to `[B, H, N, d]`.
pub fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, tokens, width] = x.dims();
    x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2) // [B, H, N, d]
}

/// `[B, H, N, d]` to `[B, N, H·d]`.
pub fn merge_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, tokens, width] = x.dims();
    x.swap_dims(1, 2).reshape([batch, tokens, heads * width]) // [B, N, H·d]
}

/// Repeats every key or value head `times` times in a row (grouped-query attention: head j serves queries
/// j·times … (j + 1)·times − 1): `[B, H, N, d]` to `[B, H·times, N, d]`.
pub fn repeat_heads(x: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return x;
    }
    let [batch, heads, tokens, width] = x.dims();
    x.unsqueeze_dim::<5>(2).expand([batch, heads, times, tokens, width]).reshape([batch, heads * times, tokens, width]) // [B, H·times, N, d]
}

/// A mask of ones (attend) and zeros (do not), `[B, M]`, as a bias `[B, 1, 1, M]`.
pub fn mask_bias(mask: Tensor<2>) -> Tensor<4> {
    let [batch, keys] = mask.dims();
    ((mask - 1.0) * -MASKED).reshape([batch, 1, 1, keys]) // [B, 1, 1, M]
}

/// `[1, 1, N, N]`: token i attends to 0 … i.
pub fn causal_bias(tokens: usize, device: &burn::tensor::Device) -> Tensor<4> {
    let values: Vec<f32> = (0..tokens * tokens).map(|i| if i % tokens > i / tokens { MASKED } else { 0.0 }).collect();
    Tensor::from_data(burn::tensor::TensorData::new(values, [1, 1, tokens, tokens]), device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    /// f32 sums in another order.
    const TOLERANCE: f32 = 1e-6;

    #[test]
    fn rows_are_attended_as_well_in_parts() {
        let random = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
        for [batch, heads, queries, keys, width] in [[1, 1, 37, 37, 8], [2, 3, 10, 23, 5]] {
            let q = random([batch, heads, queries, width]);
            let [k, v] = [(); 2].map(|()| random([batch, heads, keys, width]));
            let whole = attention(q.clone(), k.clone(), v.clone(), 0.5, None);
            for rows in [0, 1, 4, queries - 1, queries] {
                let most_bytes = 4 * batch * heads * keys * rows;
                let parts = attention_by_rows(q.clone(), k.clone(), v.clone(), 0.5, most_bytes);
                let off: f32 = (parts - whole.clone()).abs().max().into_scalar();
                assert!(off <= TOLERANCE, "{rows} of {queries} rows at a time: {off:e}");
            }
        }
    }
}
