//! What attention needs beside itself: heads and masks.

use burn::tensor::{Device, Tensor, TensorData};

pub use crate::kernels::attention::{add_attention, attention, attention_to_parts};

/// Added to the score of a key that must not be attended to. Far below any score, and finite: a row whose keys
/// are all masked gives an average instead of NaN.
pub const MASKED: f32 = -1.0e9;

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

/// A mask of ones (attend) and zeros (do not), `[B, M]`, as a bias `[B, 1, 1, M]`.
pub fn mask_bias(mask: Tensor<2>) -> Tensor<4> {
    let [batch, keys] = mask.dims();
    ((mask - 1.0) * -MASKED).reshape([batch, 1, 1, keys]) // [B, 1, 1, M]
}

/// `[1, 1, N, N]`: token i attends to 0 … i.
pub fn causal_bias(tokens: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..tokens * tokens).map(|i| if i % tokens > i / tokens { MASKED } else { 0.0 }).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, tokens, tokens]), device)
}
