//! The shaders' launch.

use burn::{
    backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor},
    tensor::{DType, Device, Tensor},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

use super::{
    super::shader::{Shader, Source, client, empty, nothing},
    Tile,
    tile::MAX_VECTORS,
};

static APART: Source = Source::new(
    "attention_apart.wgsl",
    concat!(
        include_str!("../../../../shaders/shared/attention.wgsl"),
        include_str!("../../../../shaders/attention_apart.wgsl")
    ),
);
static SHARED: Source = Source::new(
    "attention.wgsl",
    concat!(
        include_str!("../../../../shaders/shared/attention.wgsl"),
        include_str!("../../../../shaders/attention.wgsl")
    ),
);
/// The width of a head is read by vectors of so many numbers.
const VECTOR: usize = 4;
/// Workgroups along one side, at most, on every device.
const MAX_WORKGROUPS: usize = (1 << 16) - 1;

/// How often the shaders were launched in this process.
pub fn launches() -> u64 {
    APART.launches() + SHARED.launches()
}

/// The variant for heads of `vectors` vectors of four.
fn shader(tile: Tile, vectors: usize, [has_bias, has_other]: [bool; 2]) -> Shader {
    let threads = tile.threads();
    let [has_bias, has_other] = [has_bias, has_other].map(usize::from);
    let mut constants = vec![("VECTORS", vectors), ("HAS_BIAS", has_bias), ("HAS_OTHER", has_other)];
    let source = match tile {
        Tile::Apart => {
            constants.push(("THREADS", threads));
            &APART
        }
        Tile::Low | Tile::High => {
            constants.extend([("CHUNK", tile.chunk(vectors)), ("MATS", tile.rows() / Tile::Low.rows())]);
            &SHARED
        }
    };
    Shader { source, constants, threads }
}

/// Whether the shaders compute this one: heads of vectors of four, not too many, f32, and something to compute.
pub fn takes(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>) -> bool {
    let width = q.dims()[3];
    let is_plain = |x: &Tensor<4>| x.dtype() == DType::F32 && x.dims()[3] == width && !x.dims().contains(&0);
    width.is_multiple_of(VECTOR) && width <= VECTOR * MAX_VECTORS && [q, k, v].into_iter().all(is_plain)
}

/// Whether there are a bias, and something to add to: a caption has a mask always, and comes second.
const TERMS: [[bool; 2]; 3] = [[false, false], [true, false], [true, true]];

/// Every variant with its name.
pub fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for tile in Tile::ALL {
        for vectors in (1..=MAX_VECTORS).filter(|&vectors| tile.takes(vectors)) {
            sources.extend(TERMS.map(|terms| {
                let shader = shader(tile, vectors, terms);
                (shader.name(), shader.text())
            }));
        }
    }
    sources
}

/// What a launch must know beside the tensors.
#[derive(Clone, Copy)]
struct Terms {
    has_bias: bool,
    has_other: bool,
    scale: f32,
    tile: Tile,
}

#[backend_extension(Cube)]
trait Attention: Backend {
    fn flash_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        other: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        terms: Terms,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl Attention for CubeBackend {
    /// The result, `[B, N, H, d]`, and the logarithms of the sums of exp(score), `[B, N, H, 1]`.
    fn flash_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        other: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        terms: Terms,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [q, k, v] = [q, k, v].map(in_vectors);
        let ([batch, heads, rows, width], [_, kv_heads, keys, _]) = (dims(&q), dims(&k));
        let [out, log_sums] = [width, 1].map(|width| empty(&q, &[batch, rows, heads, width]));
        let bias_strides = if terms.has_bias { strides(&bias) } else { [0; 4] };
        let nothing = nothing(&q);
        let bias = if terms.has_bias { &bias } else { &nothing[0] };
        let (other, gates) = match terms.has_other {
            true => (into_contiguous(other), into_contiguous(gates)),
            false => (nothing[1].clone(), nothing[2].clone()),
        };
        let numbers = [rows, keys, heads / kv_heads].map(|count| count as u64).into_iter();
        let numbers = numbers.chain([u64::from(terms.scale.to_bits())]);
        let strides = [&q, &k, &v].into_iter().flat_map(|x| strides(x).into_iter().take(3).map(|stride| stride / 4));
        let numbers = numbers.chain(strides).chain(bias_strides);
        let numbers = numbers.chain([heads, batch].map(|count| count as u64)).collect();
        let workgroups = workgroups(terms.tile, [batch, heads, rows]);
        let shader = shader(terms.tile, width / VECTOR, [terms.has_bias, terms.has_other]);
        let tensors = [&q, &k, &v, bias, &out, &log_sums, &other, &gates];
        shader.launch(&q.client, workgroups, &tensors, numbers);
        (out, log_sums)
    }
}

/// As many as have all rows of all heads: where invocations share nothing, all of them in one line, which is folded.
fn workgroups(tile: Tile, [batch, heads, rows]: [usize; 3]) -> [usize; 3] {
    if tile != Tile::Apart {
        return [rows.div_ceil(tile.rows()), heads, batch];
    }
    let in_line = (batch * heads * rows.div_ceil(tile.rows())).div_ceil(tile.threads());
    [in_line.min(MAX_WORKGROUPS), in_line.div_ceil(MAX_WORKGROUPS), 1]
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

/// [`super::attention`] of what [`takes`] says, divided by `tile`, or as is best.
pub fn tiled(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    scale: f64,
    bias: Option<Tensor<4>>,
    tile: Option<Tile>,
) -> Tensor<4> {
    let tile = tile.unwrap_or_else(|| best_tile(&q));
    let terms = Terms { has_bias: bias.is_some(), has_other: false, scale: scale as f32, tile };
    by_launches(&q, &k, &v, bias.as_ref(), terms).0.swap_dims(1, 2) // [B, H, N, d]
}

/// [`super::attention_to_parts`] of what [`takes`] says.
pub fn to_parts(q: &Tensor<4>, parts: &[[Tensor<4>; 2]], scale: f64) -> Tensor<4> {
    let terms = Terms { has_bias: false, has_other: false, scale: scale as f32, tile: best_tile(q) };
    let averages = parts.iter().map(|[k, v]| by_launches(q, k, v, None, terms));
    let (out, _) = averages.reduce(together).expect("keys and values");
    out.swap_dims(1, 2) // [B, H, N, d]
}

/// In as many launches as it takes to walk along all keys.
fn by_launches(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, bias: Option<&Tensor<4>>, terms: Terms) -> Averages {
    let (keys, most) = (k.dims()[2], terms.tile.max_keys());
    if keys <= most {
        return launch_once([q, k, v].map(Clone::clone), bias.cloned(), None, terms);
    }
    let part = |from: usize| {
        let count = most.min(keys - from);
        let [k, v] = [k, v].map(|x| x.clone().narrow(2, from, count));
        let of_keys =
            |bias: &Tensor<4>| if bias.dims()[3] == 1 { bias.clone() } else { bias.clone().narrow(3, from, count) };
        launch_once([q.clone(), k, v], bias.map(of_keys), None, terms)
    };
    let rest = (most..keys).step_by(most);
    rest.fold(part(0), |whole, from| together(whole, part(from)))
}

/// `other + gates · attention` of what [`takes`] says in one launch, divided by `tile`, or as is best; none if there are more
/// keys than one launch walks along.
pub fn added(
    other: &Tensor<4>,
    gates: &Tensor<1>,
    [q, k, v]: [&Tensor<4>; 3],
    scale: f64,
    bias: &Tensor<4>,
    tile: Option<Tile>,
) -> Option<Tensor<4>> {
    let tile = tile.unwrap_or_else(|| best_tile(q));
    if k.dims()[2] > tile.max_keys() {
        return None;
    }
    let terms = Terms { has_bias: true, has_other: true, scale: scale as f32, tile };
    // As the shader writes it: `[B, N, H, d]`.
    let other = other.clone().swap_dims(1, 2);
    let (out, _) = launch_once([q, k, v].map(Clone::clone), Some(bias.clone()), Some((other, gates.clone())), terms);
    Some(out.swap_dims(1, 2)) // [B, H, N, d]
}

fn best_tile(q: &Tensor<4>) -> Tile {
    let [batch, heads, rows, width] = q.dims();
    Tile::for_shape(batch * heads, rows, width / VECTOR, lanes(&q.device()))
}

/// Of a subgroup.
fn lanes(device: &Device) -> u32 {
    client(device).properties().hardware.plane_size_max
}

/// `[B, N, H, d]` and `[B, N, H, 1]`.
type Averages = (Tensor<4>, Tensor<4>);

/// Averages over some keys, and the logarithms of the sums of their weights; or what they are added to, with them.
fn launch_once(
    [q, k, v]: [Tensor<4>; 3],
    bias: Option<Tensor<4>>,
    onto: Option<(Tensor<4>, Tensor<1>)>,
    terms: Terms,
) -> Averages {
    let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
    // An extension takes no optional tensors.
    let bias = bias.map_or_else(|| q.clone(), Tensor::into_dispatch);
    let (other, gates) = match onto {
        Some((other, gates)) => (other.into_dispatch(), gates.into_dispatch()),
        None => (q.clone(), q.clone()),
    };
    let (out, log_sums) = Dispatch::flash_attention(q, k, v, bias, other, gates, terms);
    (Tensor::from_dispatch(out), Tensor::from_dispatch(log_sums))
}

/// Averages over the keys of both.
fn together((a, a_log): Averages, (b, b_log): Averages) -> Averages {
    let highest = a_log.clone().max_pair(b_log.clone());
    let [a_sum, b_sum] = [a_log, b_log].map(|log| (log - highest.clone()).exp());
    let sum = a_sum.clone() + b_sum.clone();
    ((a * a_sum + b * b_sum) / sum.clone(), highest + sum.log())
}
