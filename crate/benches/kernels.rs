//! Our kernels beside Burn's own operations, on the CPU and on the first GPU, by Criterion, a group each: `cargo bench
//! --bench kernels`, with a part of a name for some of them; `-- large` for the products and attention of the released
//! models, or for some of these by the beginning of their names; `-- --test` runs each once. `cargo xtask bench --kernels`
//! makes a table of it.
//!
//! Shapes are those of two denoisers in a batch of two: nano has 72 tokens of 192 features in heads of 32, micro 272 of 384
//! in heads of 64. Elements a second are floating point operations of linear, attention and conv2d, multiplications and
//! additions alone, and numbers of the others.

use std::time::Duration;

use burn::tensor::{Device, Tensor, TensorData};
use criterion::Criterion;
use flagdit::kernels::conv2d::{self, Window};
use flagdit::kernels::qk_norm_rope::{self, Pairing, Rotation};
use flagdit::kernels::rms_norm_modulate::{self, Adaptation};
use flagdit::kernels::{End, QuantMatrix, attention, dense_linear, linear, quant_linear, run_on};
use flagdit::quant::{Format, encode};
use flagdit::sampler::noise;

#[path = "kernels/case.rs"]
mod case;
#[path = "kernels/large.rs"]
mod large;
#[allow(dead_code, reason = "the example writes text encoders and autoencoders too")]
#[path = "../examples/checkpoint/models.rs"]
mod models;

use case::{Case, Launches, Place};

const BATCH: usize = 2;
/// Words of a caption.
const WORDS: usize = 20;
/// Samples of each, and how long they take together, after a warm-up: 80 benchmarks are over in minutes.
const SAMPLES: usize = 10;
const MEASURING: Duration = Duration::from_millis(1000);
const WARM_UP: Duration = Duration::from_millis(300);

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

fn main() {
    let timing = Criterion::default().sample_size(SAMPLES).measurement_time(MEASURING).warm_up_time(WARM_UP);
    let mut criterion = timing.without_plots().configure_from_args();
    let mut places = vec![Place { name: "CPU", device: Device::flex() }];
    match pollster::block_on(flagdit::Device::gpu(None)) {
        Ok(gpu) => {
            println!("GPU: {}", gpu.name());
            places.push(Place { name: "GPU", device: gpu.burn().clone() });
        }
        Err(error) => println!("no GPU: {error}"),
    }
    println!("CPU: {} cores", std::thread::available_parallelism().map_or(1, usize::from));
    // Cargo adds flags of its own.
    let is_large = std::env::args().skip(1).any(|argument| argument.starts_with(large::GROUP));
    let cases = if is_large { large::cases() } else { cases() };
    for cases in cases.chunk_by(|one, next| one.group == next.group) {
        let mut group = criterion.benchmark_group(cases[0].group);
        for (case, place) in cases.iter().flat_map(|case| places.iter().map(move |place| (case, place))) {
            if case.runs_on(place) {
                case.measure(&mut group, place);
            }
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Kernel by kernel.
fn cases() -> Vec<Case> {
    let mut cases = vec![dense_products("1024 to 1024 of 1024, f32".into(), [1024; 3])];
    cases.extend(SIZES.iter().flat_map(products));
    cases.extend(SIZES.iter().flat_map(attentions));
    cases.extend([[64, 64, 8], [64, 32, 32], [16, 16, 64], [128, 128, 64]].map(convolutions));
    cases.extend(SIZES.map(rotations));
    cases.extend(SIZES.map(modulations));
    cases
}

fn pair<A: Clone + 'static>(arguments: A, ours: impl Fn(A) + 'static, burns: impl Fn(A) + 'static) -> Launches {
    let again = arguments.clone();
    Launches { ours: Box::new(move || ours(arguments.clone())), burns: Some(Box::new(move || burns(again.clone()))) }
}

fn products(size: &Size) -> Vec<Case> {
    let (dim, hidden, rows) = (size.heads * size.head, size.hidden, BATCH * size.tokens);
    let named = |format: &str, n, k| format!("{}, {k} to {n}, {format}", size.name);
    let shapes = [[rows, dim, dim], [rows, hidden, dim], [rows, dim, hidden]];
    let dense = shapes.map(|shape @ [_, n, k]| dense_products(named("f32", n, k), shape));
    let quantized = shapes.map(|shape @ [_, n, k]| quantized_products(named("q4", n, k), shape));
    dense.into_iter().chain(quantized).collect()
}

/// x `[m, k]` by W `[n, k]`, both in f32; on the CPU W lies by columns, as models are loaded there.
fn dense_products(shape: String, [m, n, k]: [usize; 3]) -> Case {
    let prepare = move |device: &Device| {
        let w = if run_on(device) { normal(2, [n, k], device) } else { normal(2, [k, n], device).transpose() };
        pair(
            (normal(1, [m, k], device), w),
            |(x, w)| drop(dense_linear(x, w, None, End::Plain)),
            |(x, w)| drop(linear::dense_reference(x, w, None, End::Plain)),
        )
    };
    Case::new("linear", shape, 2.0 * (m * n * k) as f64, prepare)
}

/// Burn's has the matrix in f32.
fn quantized_products(shape: String, [m, n, k]: [usize; 3]) -> Case {
    let prepare = move |device: &Device| {
        let weights = noise::normal(1, 0, n * k);
        let codes = encode(&weights, n, k, Format::Q4B32).expect("finite weights");
        let matrix = QuantMatrix::upload(&codes, n, k, Format::Q4B32, device).expect("what was just encoded");
        let dense = Tensor::<2>::from_data(TensorData::new(weights, [n, k]), device);
        pair(
            normal(2, [m, k], device),
            move |x| drop(quant_linear(x, &matrix, None, End::Plain)),
            move |x| drop(linear::dense_reference(x, dense.clone(), None, End::Plain)),
        )
    };
    Case::new("linear", shape, 2.0 * (m * n * k) as f64, prepare)
}

/// To the tokens, and to the caption.
fn attentions(size: &Size) -> [Case; 2] {
    [("tokens", size.tokens, false), ("caption", WORDS, true)].map(|(what, keys, has_bias)| {
        let (size, scale) = (*size, (size.head as f64).powf(-0.5));
        let prepare = move |device: &Device| {
            let heads = |seed, count| normal(seed, [BATCH, size.heads, count, size.head], device);
            let bias = has_bias.then(|| normal(4, [BATCH, 1, 1, keys], device));
            pair(
                (heads(1, size.tokens), heads(2, keys), heads(3, keys), bias),
                move |(q, k, v, bias)| drop(attention::attention(q, k, v, scale, bias)),
                move |(q, k, v, bias)| drop(attention::reference(q, k, v, scale, bias)),
            )
        };
        let flops = 4.0 * (BATCH * size.heads * size.head * size.tokens * keys) as f64;
        Case::new("attention", format!("{}, to the {what}", size.name), flops, prepare)
    })
}

/// By windows of 3 × 3. The CPU's are Burn's.
fn convolutions([inputs, outputs, side]: [usize; 3]) -> Case {
    let prepare = move |device: &Device| {
        pair(
            (
                normal(1, [1, inputs, side, side], device),
                normal(2, [outputs, inputs, 3, 3], device),
                normal(3, [outputs], device),
            ),
            |(x, weight, bias)| drop(conv2d::conv2d(x, weight, bias, Window::centred(3))),
            |(x, weight, bias)| drop(conv2d::reference(x, weight, bias, Window::centred(3))),
        )
    };
    let flops = 2.0 * (9 * inputs * outputs * side * side) as f64;
    Case::new("conv2d", format!("{inputs}x{side}x{side} to {outputs}"), flops, prepare).on_gpus()
}

fn rotations(size: Size) -> Case {
    let (dim, heads) = (size.heads * size.head, size.heads);
    let prepare = move |device: &Device| {
        let [weight, bias] = [2, 3].map(|seed| normal(seed, [dim], device));
        let [cos, sin] = [4, 5].map(|seed| normal(seed, [1, 1, size.tokens, size.head], device));
        let norm = qk_norm_rope::Norm { weight, bias, epsilon: 1e-5 };
        pair(
            (normal(1, [BATCH, size.tokens, dim], device), norm, Rotation::new(cos, sin, Pairing::Adjacent)),
            move |(x, norm, rotation)| drop(qk_norm_rope::qk_norm_rope(x, heads, Some(norm), &rotation)),
            move |(x, norm, rotation)| drop(qk_norm_rope::reference(x, heads, Some(norm), &rotation)),
        )
    };
    Case::new("qk_norm_rope", size.name, (BATCH * size.tokens * dim) as f64, prepare)
}

fn modulations(size: Size) -> Case {
    let dim = size.heads * size.head;
    let prepare = move |device: &Device| {
        let norm = rms_norm_modulate::Norm { weight: Some(normal(2, [dim], device)), offset: 0.0, epsilon: 1e-5 };
        let adaptation = Adaptation { parts: normal(3, [BATCH, 6, dim], device), scale: 1, shift: Some(0) };
        pair(
            (normal(1, [BATCH, size.tokens, dim], device), norm, Some(adaptation)),
            |(x, norm, adaptation)| drop(rms_norm_modulate::rms_norm_modulate(x, norm, adaptation)),
            |(x, norm, adaptation)| drop(rms_norm_modulate::reference(x, norm, adaptation)),
        )
    };
    Case::new("rms_norm_modulate", size.name, (BATCH * size.tokens * dim) as f64, prepare)
}

fn normal<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise::normal(seed, 0, shape.iter().product()), shape), device)
}
