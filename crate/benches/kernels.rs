//! Our shaders beside Burn's own operations on the first GPU, one run of each in turn: medians, and the ratio that is left
//! of Burn's time. `cargo bench --bench kernels`, with a part of a name for some of them.
//!
//! Shapes are those of two denoisers in a batch of two: nano has 72 tokens of 192 features in heads of 32, micro 272 of 384
//! in heads of 64.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::kernels::conv2d::{self, Window};
use flagdit::kernels::qk_norm_rope::{self, Pairing, Rotation};
use flagdit::kernels::rms_norm_modulate::{self, Adaptation};
use flagdit::kernels::{End, QuantMatrix, attention, dense_linear, quant_linear};
use flagdit::quant::{Format, encode};
use flagdit::sampler::noise;

/// Runs of each that are counted, after one that is not.
const RUNS: usize = 11;
const BATCH: usize = 2;

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

/// Ours, then Burn's.
type Pair = [Box<dyn Fn()>; 2];

fn pair<A: Clone + 'static>(arguments: A, ours: impl Fn(A) + 'static, burns: impl Fn(A) + 'static) -> Pair {
    let again = arguments.clone();
    [Box::new(move || ours(arguments.clone())), Box::new(move || burns(again.clone()))]
}

fn main() {
    // Cargo adds flags of its own.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let device = pollster::block_on(flagdit::Device::gpu(None)).expect("a GPU, a software adapter at least");
    println!("{} on {} cores", device.name(), std::thread::available_parallelism().map_or(1, usize::from));
    println!("{:<36} {:>10} {:>10} {:>6}", "", "ours, ms", "Burn, ms", "ratio");
    let of_sizes = SIZES.iter().flat_map(|size| {
        pairs(size, device.burn()).into_iter().map(|(name, pair)| (format!("{}, {name}", size.name), pair))
    });
    for (name, pair) in others(device.burn()).into_iter().chain(of_sizes) {
        if name.contains(&wanted) {
            report(&name, &pair, device.burn());
        }
    }
}

/// What does not depend on a denoiser's size.
fn others(device: &Device) -> Vec<(String, Pair)> {
    let mut pairs = vec![("f32 product, 1024 by 1024 by 1024".into(), dense_products([1024; 3], device))];
    pairs.extend([[64, 64, 8], [64, 32, 32], [16, 16, 64], [128, 128, 64]].map(|[inputs, outputs, side]| {
        let name = format!("convolution, {inputs}x{side}x{side} to {outputs}");
        (name, convolutions([inputs, outputs, side], device))
    }));
    pairs
}

fn pairs(size: &Size, device: &Device) -> Vec<(String, Pair)> {
    let dim = size.heads * size.head;
    vec![
        ("attention to tokens".into(), attentions(size, size.tokens, false, device)),
        ("attention to the caption".into(), attentions(size, WORDS, true, device)),
        (format!("q4 product, {dim} to {dim}"), products(size, dim, dim, device)),
        (format!("q4 product, {dim} to {}", size.hidden), products(size, dim, size.hidden, device)),
        (format!("q4 product, {} to {dim}", size.hidden), products(size, size.hidden, dim, device)),
        (
            format!("f32 product, {dim} to {}", size.hidden),
            dense_products([BATCH * size.tokens, size.hidden, dim], device),
        ),
        ("norm and rotation of queries".into(), rotations(size, device)),
        ("norm and modulation of tokens".into(), modulations(size, device)),
    ]
}

fn attentions(size: &Size, keys: usize, has_bias: bool, device: &Device) -> Pair {
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
fn products(size: &Size, input: usize, output: usize, device: &Device) -> Pair {
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
fn dense_products([m, n, k]: [usize; 3], device: &Device) -> Pair {
    pair(
        (normal(1, [m, k], device), normal(2, [n, k], device)),
        |(x, w)| drop(dense_linear(x, w, None, End::Plain)),
        |(x, w)| drop(x.matmul(w.transpose())),
    )
}

/// By windows of 3 × 3.
fn convolutions([inputs, outputs, side]: [usize; 3], device: &Device) -> Pair {
    let x = normal(1, [1, inputs, side, side], device);
    pair(
        (x, normal(2, [outputs, inputs, 3, 3], device), normal(3, [outputs], device)),
        |(x, weight, bias)| drop(conv2d::conv2d(x, weight, bias, Window::centred(3))),
        |(x, weight, bias)| drop(conv2d::reference(x, weight, bias, Window::centred(3))),
    )
}

fn rotations(size: &Size, device: &Device) -> Pair {
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

fn modulations(size: &Size, device: &Device) -> Pair {
    let dim = size.heads * size.head;
    let norm = rms_norm_modulate::Norm { weight: Some(normal(2, [dim], device)), offset: 0.0, epsilon: 1e-5 };
    let adaptation = Adaptation { parts: normal(3, [BATCH, 6, dim], device), scale: 1, shift: Some(0) };
    pair(
        (normal(1, [BATCH, size.tokens, dim], device), norm, Some(adaptation)),
        |(x, norm, adaptation)| drop(rms_norm_modulate::rms_norm_modulate(x, norm, adaptation)),
        |(x, norm, adaptation)| drop(rms_norm_modulate::reference(x, norm, adaptation)),
    )
}

fn report(name: &str, pair: &Pair, device: &Device) {
    for run in pair {
        timed(run, device);
    }
    let rounds: Vec<_> = (0..RUNS).map(|_| pair.each_ref().map(|run| timed(run, device))).collect();
    let [ours, burns] = [0, 1].map(|which| {
        let mut times: Vec<_> = rounds.iter().map(|round| round[which]).collect();
        times.sort();
        times[RUNS / 2].as_secs_f64() * 1e3
    });
    println!("{name:<36} {ours:>10.2} {burns:>10.2} {:>6.2}", ours / burns);
}

/// From the launch until the device has nothing left to do.
fn timed(run: &dyn Fn(), device: &Device) -> Duration {
    let start = Instant::now();
    run();
    device.sync().expect("a device that answers");
    start.elapsed()
}

fn normal<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise::normal(seed, 0, shape.iter().product()), shape), device)
}
