//! Our shaders beside Burn's own operations on the first GPU, samples of each in turn: medians, and the ratio that is left
//! of Burn's time. `cargo bench --bench kernels`, with a part of a name for some of them; `-- large` for the products and
//! attention of the released models, or for some of these by the beginning of their names.
//!
//! Shapes are those of two denoisers in a batch of two: nano has 72 tokens of 192 features in heads of 32, micro 272 of 384
//! in heads of 64. GFLOP/s are those of multiplications and additions alone.

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::kernels::conv2d::{self, Window};
use flagdit::kernels::qk_norm_rope::{self, Pairing, Rotation};
use flagdit::kernels::rms_norm_modulate::{self, Adaptation};
use flagdit::kernels::{End, QuantMatrix, attention, dense_linear, quant_linear};
use flagdit::quant::{Format, encode};
use flagdit::sampler::noise;

#[path = "kernels/case.rs"]
mod case;
#[path = "kernels/large.rs"]
mod large;
#[allow(dead_code, reason = "the example writes text encoders and autoencoders too")]
#[path = "../examples/checkpoint/models.rs"]
mod models;
#[path = "support/timing.rs"]
mod timing;

use case::{Case, Launches};

const BATCH: usize = 2;

#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    tokens: usize,
    heads: usize,
    head: usize,
    hidden: usize,
}

const SIZES: [Size; 2] = [
    Size { name: "nano", tokens: 72, heads: 6, head: 32, hidden: 512 },
    Size { name: "micro", tokens: 272, heads: 6, head: 64, hidden: 1024 },
];
/// Words of a caption.
const WORDS: usize = 20;

fn pair<A: Clone + 'static>(arguments: A, ours: impl Fn(A) + 'static, burns: impl Fn(A) + 'static) -> Launches {
    let again = arguments.clone();
    Launches { ours: Box::new(move || ours(arguments.clone())), burns: Some(Box::new(move || burns(again.clone()))) }
}

fn main() {
    // Cargo adds flags of its own.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let device = pollster::block_on(flagdit::Device::gpu(None)).expect("a GPU, a software adapter at least");
    println!("{} on {} cores", device.name(), std::thread::available_parallelism().map_or(1, usize::from));
    case::header();
    let cases = match wanted.starts_with(large::GROUP) {
        true => large::cases(),
        false => others().into_iter().chain(SIZES.iter().flat_map(of_size)).collect(),
    };
    for case in cases.iter().filter(|case| case.name.contains(&wanted)) {
        case.report(device.burn());
    }
}

/// What does not depend on a denoiser's size.
fn others() -> Vec<Case> {
    let mut cases = vec![dense_products("f32 product, 1024 by 1024 by 1024".into(), [1024; 3])];
    cases.extend([[64, 64, 8], [64, 32, 32], [16, 16, 64], [128, 128, 64]].map(|[inputs, outputs, side]| {
        let name = format!("convolution, {inputs}x{side}x{side} to {outputs}");
        let flops = 2.0 * (9 * inputs * outputs * side * side) as f64;
        Case::new(name, move |device| convolutions([inputs, outputs, side], device)).of(flops)
    }));
    cases
}

fn of_size(size: &Size) -> Vec<Case> {
    let size = *size;
    let (dim, named) = (size.heads * size.head, |name: &str| format!("{}, {name}", size.name));
    let attention = |name: &str, keys: usize, has_bias| {
        let flops = 4.0 * (BATCH * dim * size.tokens * keys) as f64;
        Case::new(named(name), move |device| attentions(&size, keys, has_bias, device)).of(flops)
    };
    let product = |input: usize, output: usize| {
        let flops = 2.0 * (BATCH * size.tokens * input * output) as f64;
        let name = named(&format!("q4 product, {input} to {output}"));
        Case::new(name, move |device| products(&size, input, output, device)).of(flops)
    };
    vec![
        attention("attention to tokens", size.tokens, false),
        attention("attention to the caption", WORDS, true),
        product(dim, dim),
        product(dim, size.hidden),
        product(size.hidden, dim),
        dense_products(
            named(&format!("f32 product, {dim} to {}", size.hidden)),
            [BATCH * size.tokens, size.hidden, dim],
        ),
        Case::new(named("norm and rotation of queries"), move |device| rotations(&size, device)),
        Case::new(named("norm and modulation of tokens"), move |device| modulations(&size, device)),
    ]
}

fn attentions(size: &Size, keys: usize, has_bias: bool, device: &Device) -> Launches {
    let heads = |seed, count| normal(seed, [BATCH, size.heads, count, size.head], device);
    let bias = has_bias.then(|| normal(4, [BATCH, 1, 1, keys], device));
    let scale = (size.head as f64).powf(-0.5);
    pair(
        (heads(1, size.tokens), heads(2, keys), heads(3, keys), bias),
        move |(q, k, v, bias)| drop(attention::attention(q, k, v, scale, bias)),
        move |(q, k, v, bias)| drop(attention::reference(q, k, v, scale, bias)),
    )
}

/// Burn's has the matrix in f32.
fn products(size: &Size, input: usize, output: usize, device: &Device) -> Launches {
    let weights = noise::normal(1, 0, input * output);
    let codes = encode(&weights, output, input, Format::Q4B32).expect("finite weights");
    let matrix = QuantMatrix::upload(&codes, output, input, Format::Q4B32, device).expect("what was just encoded");
    let dense = Tensor::<2>::from_data(TensorData::new(weights, [output, input]), device).transpose();
    pair(
        normal(2, [BATCH * size.tokens, input], device),
        move |x| drop(quant_linear(x, &matrix, None, End::Plain)),
        move |x| drop(x.matmul(dense.clone())),
    )
}

/// x `[m, k]` by W `[n, k]`, both in f32.
fn dense_products(name: String, [m, n, k]: [usize; 3]) -> Case {
    let prepare = move |device: &Device| {
        pair(
            (normal(1, [m, k], device), normal(2, [n, k], device)),
            |(x, w)| drop(dense_linear(x, w, None, End::Plain)),
            |(x, w)| drop(x.matmul(w.transpose())),
        )
    };
    Case::new(name, prepare).of(2.0 * (m * n * k) as f64)
}

/// By windows of 3 × 3.
fn convolutions([inputs, outputs, side]: [usize; 3], device: &Device) -> Launches {
    let x = normal(1, [1, inputs, side, side], device);
    pair(
        (x, normal(2, [outputs, inputs, 3, 3], device), normal(3, [outputs], device)),
        |(x, weight, bias)| drop(conv2d::conv2d(x, weight, bias, Window::centred(3))),
        |(x, weight, bias)| drop(conv2d::reference(x, weight, bias, Window::centred(3))),
    )
}

fn rotations(size: &Size, device: &Device) -> Launches {
    let (dim, heads) = (size.heads * size.head, size.heads);
    let [weight, bias] = [2, 3].map(|seed| normal(seed, [dim], device));
    let [cos, sin] = [4, 5].map(|seed| normal(seed, [1, 1, size.tokens, size.head], device));
    let norm = qk_norm_rope::Norm { weight, bias, epsilon: 1e-5 };
    pair(
        (normal(1, [BATCH, size.tokens, dim], device), norm, Rotation::new(cos, sin, Pairing::Adjacent)),
        move |(x, norm, rotation)| drop(qk_norm_rope::qk_norm_rope(x, heads, Some(norm), &rotation)),
        move |(x, norm, rotation)| drop(qk_norm_rope::reference(x, heads, Some(norm), &rotation)),
    )
}

fn modulations(size: &Size, device: &Device) -> Launches {
    let dim = size.heads * size.head;
    let norm = rms_norm_modulate::Norm { weight: Some(normal(2, [dim], device)), offset: 0.0, epsilon: 1e-5 };
    let adaptation = Adaptation { parts: normal(3, [BATCH, 6, dim], device), scale: 1, shift: Some(0) };
    pair(
        (normal(1, [BATCH, size.tokens, dim], device), norm, Some(adaptation)),
        |(x, norm, adaptation)| drop(rms_norm_modulate::rms_norm_modulate(x, norm, adaptation)),
        |(x, norm, adaptation)| drop(rms_norm_modulate::reference(x, norm, adaptation)),
    )
}

fn normal<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise::normal(seed, 0, shape.iter().product()), shape), device)
}
