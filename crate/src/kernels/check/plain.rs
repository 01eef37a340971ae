//! What kernels compute, by loops over numbers in f64: neither Burn nor any device has a part in it. Tensors are their
//! numbers, row after row.

use super::super::conv2d::Window;

/// x `[m, k]` times the transpose of w `[n, k]`: `[m, n]`.
pub fn product(x: &[f32], w: &[f32], k: usize) -> Vec<f64> {
    x.chunks(k).flat_map(|x| w.chunks(k).map(move |w| dot(x, w))).collect()
}

/// z / (1 + e⁻ᶻ).
pub fn silu(z: f64) -> f64 {
    z / (1.0 + (-z).exp())
}

/// `softmax(scale · q kᵀ + bias) v`: q `[B, H, N, d]`, k and v `[B, Hkv, M, d]`, a bias `[B, 1, 1, M]`: `[B, H, N, d]`.
pub fn attention(
    [q, k, v]: &[Vec<f32>; 3],
    [batch, heads, queries, width]: [usize; 4],
    [_, kv_heads, keys, _]: [usize; 4],
    scale: f64,
    bias: Option<&[f32]>,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(q.len());
    for (row, q) in q.chunks(width).enumerate() {
        let (b, head) = (row / queries / heads, row / queries % heads);
        let first = (b * kv_heads + head / (heads / kv_heads)) * keys * width;
        let [k, v] = [k, v].map(|x| x[first..][..keys * width].chunks(width));
        let bias = |key: usize| bias.map_or(0.0, |bias| f64::from(bias[b * keys + key]));
        let weights: Vec<f64> = k.enumerate().map(|(key, k)| (scale * dot(q, k) + bias(key)).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let average = |i: usize| weights.iter().zip(v.clone()).map(|(w, v)| w * f64::from(v[i])).sum::<f64>() / sum;
        out.extend((0..width).map(average));
    }
    debug_assert_eq!(out.len(), batch * heads * queries * width);
    out
}

/// x `[B, in, H, W]` with a kernel `[out, in, 3, 3]` and a bias `[out]`: `[B, out, H', W']`, the places of `window`.
pub fn convolution(
    [x, weight, bias]: &[Vec<f32>; 3],
    [batch, inputs, height, width]: [usize; 4],
    [out_height, out_width]: [usize; 2],
    Window { upscale, padding, stride }: Window,
) -> Vec<f64> {
    let outputs = bias.len();
    // Of x, zero beside it.
    let pixel = |b: usize, input: usize, at: [usize; 2]| {
        let [row, column] = at.map(|place| place.checked_sub(padding[0]).map(|place| place / upscale));
        match (row.filter(|row| *row < height), column.filter(|column| *column < width)) {
            (Some(row), Some(column)) => f64::from(x[((b * inputs + input) * height + row) * width + column]),
            _ => 0.0,
        }
    };
    let mut out = Vec::with_capacity(batch * outputs * out_height * out_width);
    for i in 0..batch * outputs * out_height * out_width {
        let (column, row) = (i % out_width * stride, i / out_width % out_height * stride);
        let (output, b) = (i / out_width / out_height % outputs, i / out_width / out_height / outputs);
        let weights = weight[output * inputs * 9..][..inputs * 9].iter().enumerate();
        let terms = weights.map(|(j, &weight)| f64::from(weight) * pixel(b, j / 9, [row + j / 3 % 3, column + j % 3]));
        out.push(terms.sum::<f64>() + f64::from(bias[output]));
    }
    out
}

/// `(x − mean) / √(var + ε)` of each row of `width` numbers, or `x / √(mean(x²) + ε)`.
pub fn normed(x: &[f32], width: usize, is_centred: bool, epsilon: f64) -> Vec<f64> {
    let row = |row: &[f32]| {
        let mean = |x: &mut dyn Iterator<Item = f64>| x.sum::<f64>() / width as f64;
        let middle = if is_centred { mean(&mut row.iter().map(|&x| x.into())) } else { 0.0 };
        let around: Vec<f64> = row.iter().map(|&x| f64::from(x) - middle).collect();
        let factor = 1.0 / (mean(&mut around.iter().map(|x| x * x)) + epsilon).sqrt();
        around.into_iter().map(move |x| x * factor)
    };
    x.chunks(width).flat_map(row).collect()
}

/// x `[B, N, H, d]` by RoPE of adjacent features, with cosines and sines `[N, d]`: `[B, H, N, d]`.
pub fn turned(x: &[f64], [tokens, heads, width]: [usize; 3], [cos, sin]: [&[f32]; 2]) -> Vec<f64> {
    let number = |i: usize| {
        let (feature, token) = (i % width, i / width % tokens);
        let (head, b) = (i / width / tokens % heads, i / width / tokens / heads);
        let row = &x[((b * tokens + token) * heads + head) * width..][..width];
        let other = if feature.is_multiple_of(2) { -row[feature + 1] } else { row[feature - 1] };
        let place = token * width + feature;
        row[feature] * f64::from(cos[place]) + other * f64::from(sin[place])
    };
    (0..x.len()).map(number).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
