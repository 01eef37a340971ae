//! Scaled dot-product attention that never holds the scores of all queries with all keys.

#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "gpu")]
mod tile;

use burn::tensor::{Tensor, activation::softmax};

use super::{matmul, spread};

#[cfg(feature = "gpu")]
pub use gpu::{added, launches, sources, tiled};
#[cfg(feature = "gpu")]
pub use tile::Tile;

/// Of scores the reference holds so many bytes at once: half of what every WebGPU device lets a kernel see of a buffer.
pub const SCORES_BYTES: u64 = 64 << 20;

/// `softmax(scale · q kᵀ + bias) v`: q `[B, H, N, d]`, k and v `[B, Hkv, M, d]` and a bias that broadcasts to `[B, H, N, M]`
/// give `[B, H, N, d]`. Head j of q reads head j / (H / Hkv) of k and v (grouped-query attention).
///
/// On a GPU the three are read by their strides, so that heads need not be moved together before, and the result lies as
/// `[B, N, H, d]` does.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, bias: Option<Tensor<4>>) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if super::run_on(&q.device()) && gpu::takes(&q, &k, &v) {
        return tiled(q, k, v, scale, bias, None);
    }
    #[cfg(feature = "cpu")]
    if let Some(out) = super::cpu::attention::attention(&q, &k, &v, scale, bias.as_ref(), None) {
        return out;
    }
    reference(q, k, v, scale, bias)
}

/// [`attention`] to keys and values that lie apart, `[B, Hkv, M, d]` each for any M: what a device cannot bind at once. Without
/// a bias.
///
/// # Panics
///
/// If there are none.
pub fn attention_to_parts(q: Tensor<4>, parts: &[[Tensor<4>; 2]], scale: f64) -> Tensor<4> {
    if let [[k, v]] = parts {
        return attention(q, k.clone(), v.clone(), scale, None);
    }
    #[cfg(feature = "gpu")]
    if super::run_on(&q.device()) && parts.iter().all(|[k, v]| gpu::takes(&q, k, v)) {
        return gpu::to_parts(&q, parts, scale);
    }
    let [k, v] = [0, 1].map(|which| Tensor::cat(parts.iter().map(|part| part[which].clone()).collect(), 2)); // [B, Hkv, M, d]
    attention(q, k, v, scale, None)
}

/// `other + gates · attention`, other `[B, H, N, d]` and gates `[H]`: attention to something else beside a first one.
pub fn add_attention(
    other: Tensor<4>,
    gates: Tensor<1>,
    [q, k, v]: [Tensor<4>; 3],
    scale: f64,
    bias: Option<Tensor<4>>,
) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if super::run_on(&q.device())
        && gpu::takes(&q, &k, &v)
        && let Some(bias) = &bias
        && let Some(out) = gpu::added(&other, &gates, [&q, &k, &v], scale, bias, None)
    {
        return out;
    }
    #[cfg(feature = "cpu")]
    if let Some(out) = super::cpu::attention::attention(&q, &k, &v, scale, bias.as_ref(), Some((&other, &gates))) {
        return out;
    }
    let gates = spread(gates, q.dims()[0]); // [1 or B, H]
    let gates = gates.unsqueeze_dim::<3>(2).unsqueeze_dim(3); // [1 or B, H, 1, 1]
    other + attention(q, k, v, scale, bias) * gates
}

/// [`attention`] by plain tensor operations, as many queries at a time as have [`SCORES_BYTES`] of scores. Gradients need all
/// scores again, so parts would spare a training nothing.
pub fn reference(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, bias: Option<Tensor<4>>) -> Tensor<4> {
    if q.device().is_autodiff() {
        return whole(q, k, v, scale, bias);
    }
    by_rows(q, k, v, scale, bias, SCORES_BYTES as usize)
}

/// Every query's result is its own, so how many are computed at a time changes nothing but the memory.
fn by_rows(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    scale: f64,
    bias: Option<Tensor<4>>,
    most_bytes: usize,
) -> Tensor<4> {
    let [batch, heads, queries, _] = q.dims();
    let row_bytes = batch * heads * k.dims()[2] * size_of::<f32>();
    let at_once = (most_bytes / row_bytes.max(1)).max(1);
    if queries <= at_once {
        return whole(q, k, v, scale, bias);
    }
    let part = |from: usize| {
        let count = at_once.min(queries - from);
        let of_queries = |x: Tensor<4>| if x.dims()[2] == 1 { x } else { x.narrow(2, from, count) };
        whole(q.clone().narrow(2, from, count), k.clone(), v.clone(), scale, bias.clone().map(of_queries))
    };
    Tensor::cat((0..queries).step_by(at_once).map(part).collect(), 2)
}

/// With all scores at once.
fn whole(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, bias: Option<Tensor<4>>) -> Tensor<4> {
    let ([batch, heads, queries, width], [_, kv_heads, keys, _]) = (q.dims(), k.dims());
    // The queries of heads that share keys lie one below the other, so no key is repeated.
    let rows = heads / kv_heads * queries;
    let q = (q * scale).reshape([batch, kv_heads, rows, width]); // [B, Hkv, H/Hkv·N, d]
    let scores = matmul(q, k.swap_dims(2, 3)).reshape([batch, heads, queries, keys]); // [B, H, N, M]
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    let weights = softmax(scores, 3).reshape([batch, kv_heads, rows, keys]); // [B, Hkv, H/Hkv·N, M]
    matmul(weights, v).reshape([batch, heads, queries, width]) // [B, H, N, d]
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
            let bias = Some(random([batch, 1, queries, keys]));
            let whole = whole(q.clone(), k.clone(), v.clone(), 0.5, bias.clone());
            for rows in [0, 1, 4, queries - 1, queries] {
                let most_bytes = 4 * batch * heads * keys * rows;
                let parts = by_rows(q.clone(), k.clone(), v.clone(), 0.5, bias.clone(), most_bytes);
                let off: f32 = (parts - whole.clone()).abs().max().into_scalar();
                assert!(off <= TOLERANCE, "{rows} of {queries} rows at a time: {off:e}");
            }
        }
    }
}
