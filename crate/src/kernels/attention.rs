//! Scaled dot-product attention that never holds the scores of all queries with all keys.

use burn::tensor::{Tensor, activation::softmax};

use super::matmul;

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
        return gpu::launch(q, k, v, scale, bias);
    }
    #[cfg(not(all(feature = "gpu", target_family = "wasm")))]
    if let Some(out) = super::cpu::attention::attention(&q, &k, &v, scale, bias.as_ref(), None) {
        return out;
    }
    reference(q, k, v, scale, bias)
}

/// `other + gates · attention`, other `[B, H, N, d]` and gates `[H]`: attention to something else beside a first one.
pub fn add_attention(
    other: Tensor<4>,
    gates: Tensor<1>,
    [q, k, v]: [Tensor<4>; 3],
    scale: f64,
    bias: Option<Tensor<4>>,
) -> Tensor<4> {
    #[cfg(not(all(feature = "gpu", target_family = "wasm")))]
    if let Some(out) = super::cpu::attention::attention(&q, &k, &v, scale, bias.as_ref(), Some((&other, &gates))) {
        return out;
    }
    let heads = gates.dims()[0];
    other + attention(q, k, v, scale, bias) * gates.reshape([1, heads, 1, 1]) // [1, H, 1, 1]
}

/// [`attention`] by plain tensor operations, as many queries at a time as have [`SCORES_BYTES`] of scores.
pub fn reference(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, bias: Option<Tensor<4>>) -> Tensor<4> {
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

#[cfg(feature = "gpu")]
pub use gpu::{launches, sources};

#[cfg(feature = "gpu")]
mod gpu {
    use burn::{
        backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor},
        tensor::{DType, Tensor},
    };
    use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

    use super::super::shader::{Shader, Source, empty};

    static SOURCE: Source = Source::new("attention.wgsl", include_str!("../../../shaders/attention.wgsl"));
    /// Queries that a workgroup takes.
    const TILE: usize = 32;
    /// Invocations of a workgroup: each has four queries with an eighth of the keys.
    const THREADS: usize = TILE / 4 * 8;
    /// Keys that one launch walks along. Software adapters end a shader without a word after 65 535 rounds of its loops
    /// together (at most 91 a tile), and systems end what keeps a GPU busy for seconds.
    const MAX_KEYS: usize = 1 << 14;
    /// Vectors of four in the widest head, and in the widest part of a key that workgroup memory has room for.
    const MAX_VECTORS: usize = 32;
    const MAX_CHUNK: usize = 16;

    /// How often the shader was launched in this process.
    pub fn launches() -> u64 {
        SOURCE.launches()
    }

    /// The variant for heads of `vectors` vectors of four.
    fn shader(vectors: usize, has_bias: bool) -> Shader {
        let constants =
            vec![("VECTORS", vectors), ("CHUNKS", vectors.div_ceil(MAX_CHUNK)), ("HAS_BIAS", usize::from(has_bias))];
        Shader { source: &SOURCE, constants, threads: THREADS }
    }

    /// Whether a head is made of vectors of four, in parts of equal width.
    fn takes_width(width: usize) -> bool {
        let vectors = width / 4;
        width.is_multiple_of(4)
            && (1..=MAX_VECTORS).contains(&vectors)
            && vectors.is_multiple_of(vectors.div_ceil(MAX_CHUNK))
    }

    /// Whether the shader computes this one: heads as wide as [`takes_width`] says, f32, and something to compute.
    pub fn takes(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>) -> bool {
        let width = q.dims()[3];
        let is_plain = |x: &Tensor<4>| x.dtype() == DType::F32 && x.dims()[3] == width && !x.dims().contains(&0);
        takes_width(width) && [q, k, v].into_iter().all(is_plain)
    }

    /// Every variant with its name.
    pub fn sources() -> Vec<(String, String)> {
        let widths = (1..=4 * MAX_VECTORS).filter(|&width| takes_width(width));
        let shaders = widths.flat_map(|width| [false, true].map(|has_bias| shader(width / 4, has_bias)));
        shaders.map(|shader| (shader.name(), shader.text())).collect()
    }

    #[backend_extension(Cube)]
    trait Attention: Backend {
        fn flash_attention(
            q: FloatTensor<Self>,
            k: FloatTensor<Self>,
            v: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            has_bias: bool,
            scale: f32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>);
    }

    impl Attention for CubeBackend {
        /// The result, `[B, N, H, d]`, and the logarithms of the sums of exp(score), `[B, N, H, 1]`.
        fn flash_attention(
            q: FloatTensor<Self>,
            k: FloatTensor<Self>,
            v: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            has_bias: bool,
            scale: f32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            let [q, k, v] = [q, k, v].map(in_vectors);
            let ([batch, heads, rows, width], [_, kv_heads, keys, _]) = (dims(&q), dims(&k));
            let [out, log_sums] = [width, 1].map(|width| empty(&q, &[batch, rows, heads, width]));
            let bias = if has_bias { bias } else { empty(&q, &[1; 4]) };
            let numbers = [rows, keys, heads / kv_heads].map(|count| count as u64).into_iter();
            let numbers = numbers.chain([u64::from(scale.to_bits())]);
            let strides =
                [&q, &k, &v].into_iter().flat_map(|x| strides(x).into_iter().take(3).map(|stride| stride / 4));
            let numbers = numbers.chain(strides).chain(self::strides(&bias)).collect();
            let workgroups = [rows.div_ceil(TILE), heads, batch];
            shader(width / 4, has_bias).launch(&q.client, workgroups, &[&q, &k, &v, &bias, &out, &log_sums], numbers);
            (out, log_sums)
        }
    }

    /// Lets go of strides that vectors of four cannot follow.
    fn in_vectors(x: CubeTensor) -> CubeTensor {
        let [batch, head, row, feature] = strides(&x);
        let is_readable = feature == 1 && [batch, head, row].iter().all(|stride| stride.is_multiple_of(4));
        if is_readable { x } else { into_contiguous(x) }
    }

    fn dims(x: &CubeTensor) -> [usize; 4] {
        std::array::from_fn(|dim| x.meta.shape()[dim])
    }

    /// 0 along what is broadcast.
    fn strides(x: &CubeTensor) -> [u64; 4] {
        std::array::from_fn(|dim| if x.meta.shape()[dim] == 1 { 0 } else { x.meta.strides()[dim] as u64 })
    }

    pub fn launch(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, bias: Option<Tensor<4>>) -> Tensor<4> {
        let keys = k.dims()[2];
        let part = |from: usize| {
            let count = MAX_KEYS.min(keys - from);
            let [k, v] = [&k, &v].map(|x| x.clone().narrow(2, from, count));
            let of_keys = |bias: Tensor<4>| if bias.dims()[3] == 1 { bias } else { bias.narrow(3, from, count) };
            launch_once(q.clone(), k, v, scale, bias.clone().map(of_keys))
        };
        if keys <= MAX_KEYS {
            return launch_once(q, k, v, scale, bias).0.swap_dims(1, 2); // [B, H, N, d]
        }
        let rest = (MAX_KEYS..keys).step_by(MAX_KEYS);
        let (out, _) = rest.fold(part(0), |whole, from| together(whole, part(from)));
        out.swap_dims(1, 2) // [B, H, N, d]
    }

    /// `[B, N, H, d]` and `[B, N, H, 1]`.
    type Averages = (Tensor<4>, Tensor<4>);

    /// Averages over some keys, and the logarithms of the sums of their weights.
    fn launch_once(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, bias: Option<Tensor<4>>) -> Averages {
        let has_bias = bias.is_some();
        // An extension takes no optional tensors.
        let bias = bias.unwrap_or_else(|| q.clone());
        let [q, k, v, bias] = [q, k, v, bias].map(Tensor::into_dispatch);
        let (out, log_sums) = Dispatch::flash_attention(q, k, v, bias, has_bias, scale as f32);
        (Tensor::from_dispatch(out), Tensor::from_dispatch(log_sums))
    }

    /// Averages over the keys of both.
    fn together((a, a_log): Averages, (b, b_log): Averages) -> Averages {
        let highest = a_log.clone().max_pair(b_log.clone());
        let [a_sum, b_sum] = [a_log, b_log].map(|log| (log - highest.clone()).exp());
        let sum = a_sum.clone() + b_sum.clone();
        ((a * a_sum + b * b_sum) / sum.clone(), highest + sum.log())
    }
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
