//! Whether a device computes what loops over plain numbers compute. Drivers and browsers have turned shaders into nonsense
//! without a word: a model is opened on a GPU only after it was asked.

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use serde::Serialize;

mod norms;
mod numbers;
mod plain;

use norms::compare_norms;
use numbers::{distance, numbers, poison, tensor};

use super::{
    attention,
    conv2d::{self, Window},
    linear::{End, Gates, QuantMatrix, dense_linear, quant_linear},
};
use crate::{
    error::{Error, ErrorKind, Result},
    quant::{Format, decode, encode},
};

/// ‖found − expected‖ / ‖expected‖ up to which two sums of a few hundred f32 products differ by their order alone
/// (1e-6 is usual); a wrong shader is off by the size of the result.
const TOLERANCE: f64 = 1e-4;

/// The same of products of codes, which some devices make in f16.
const TOLERANCE_IN_HALF: f64 = 5e-3;

/// Rows of x, of W, and their columns: beside tiles, blocks and rows of words.
const RAGGED: [usize; 3] = [17, 130, 97];
/// Likewise; the last is large enough for high tiles.
const PRODUCTS: [[usize; 3]; 4] = [[3, 5, 33], RAGGED, [65, 70, 128], [1030, 1000, 35]];

/// Query heads, key heads, queries, keys, width, and whether there is a bias: beside tiles of queries and keys.
type Heads = ([usize; 5], bool);
const RAGGED_HEADS: Heads = ([4, 2, 37, 45, 32], true);
/// Likewise, with one to four columns for each lane, and keys in one part or two; the first is smaller than a tile.
const HEADS: [Heads; 5] = [
    ([2, 2, 5, 3, 24], false),
    RAGGED_HEADS,
    ([2, 1, 33, 64, 48], false),
    ([1, 1, 70, 31, 72], true),
    ([3, 3, 40, 65, 128], false),
];

/// Tokens, heads, and their width: beside lanes and tokens of a workgroup.
const RAGGED_TOKENS: [usize; 3] = [7, 3, 20];
/// Likewise.
const TOKENS: [[usize; 3]; 2] = [RAGGED_TOKENS, [33, 6, 32]];

/// Batch, channels in and out, height and width, and the window: beside groups of pixels and of channels.
type Area = ([usize; 5], Window);
const RAGGED_AREA: Area = ([2, 5, 6, 11, 9], Window { upscale: 2, padding: [1, 1], stride: 1 });
/// Likewise, with one and two vectors of channels.
const AREAS: [Area; 3] = [
    RAGGED_AREA,
    ([1, 8, 3, 33, 20], Window { upscale: 1, padding: [1, 1], stride: 1 }),
    ([2, 4, 70, 12, 7], Window { upscale: 1, padding: [0, 1], stride: 2 }),
];

/// What is compared.
struct Shapes {
    products: &'static [[usize; 3]],
    heads: &'static [Heads],
    tokens: &'static [[usize; 3]],
    areas: &'static [Area],
}

const ALL: Shapes = Shapes { products: &PRODUCTS, heads: &HEADS, tokens: &TOKENS, areas: &AREAS };
/// Enough to notice nonsense, before a model is opened.
const FEW: Shapes =
    Shapes { products: &[RAGGED], heads: &[RAGGED_HEADS], tokens: &[RAGGED_TOKENS], areas: &[RAGGED_AREA] };

/// One kernel's result, computed on the device and by a loop.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What was computed.
    pub name: String,
    /// ‖found − expected‖ / ‖expected‖.
    pub error: f64,
    /// How large the error may be.
    pub tolerance: f64,
}

impl Comparison {
    fn new(name: String, error: f64) -> Self {
        Self { name, error, tolerance: TOLERANCE }
    }

    /// NaN is not.
    fn is_right(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// Runs our kernels on `device`, over ragged shapes, and compares them with loops. What the results are written to holds NaN
/// before, so that a value that is not written shows.
///
/// # Errors
///
/// `device-lost` if the device does not answer.
pub async fn compare(device: &Device) -> Result<Vec<Comparison>> {
    compare_shapes(device, &ALL).await
}

async fn compare_shapes(device: &Device, shapes: &Shapes) -> Result<Vec<Comparison>> {
    let mut comparisons = Vec::new();
    for (seed, &shape) in (0..).zip(shapes.products) {
        comparisons.extend(compare_products(device, shape, seed).await?);
    }
    for (seed, &shape) in (100..).zip(shapes.heads) {
        comparisons.extend(compare_attention(device, shape, seed).await?);
    }
    for (seed, &shape) in (200..).zip(shapes.tokens) {
        comparisons.extend(compare_norms(device, shape, seed).await?);
    }
    for (seed, &area) in (300..).zip(shapes.areas) {
        comparisons.push(compare_convolutions(device, area, seed).await?);
    }
    Ok(comparisons)
}

async fn compare_products(device: &Device, [m, n, k]: [usize; 3], seed: u64) -> Result<Vec<Comparison>> {
    let mut comparisons = Vec::new();
    let (x, w) = (numbers(2 * seed, m * k), numbers(2 * seed + 1, n * k));
    let (b, other) = (numbers(1000 + seed, n), numbers(2000 + seed, m * n));
    let gates = numbers(3000 + seed, 2 * n);
    let inputs = || (tensor(2 * seed, [m, k], device), tensor::<2>(2000 + seed, [m, n], device));
    for format in Format::ALL.into_iter().filter(|format| QuantMatrix::takes(*format, true)) {
        let (matrix, stored) = matrix(&w, n, k, format, device)?;
        let ended = |(i, z): (usize, f64)| {
            let (z, other) = (z + f64::from(b[i % n]), f64::from(other[i]));
            if format.is_quantized() { plain::silu(other) * z } else { plain::silu(other + z) }
        };
        let expected: Vec<f64> = plain::product(&x, &stored, k).into_iter().enumerate().map(ended).collect();
        let (x, other) = inputs();
        let end = if format.is_quantized() { End::Gated(other) } else { End::Silu(Some(other)) };
        let b = tensor(1000 + seed, [n], device);
        poison([m, n], device);
        let error = distance(quant_linear(x, &matrix, Some(b), end), &expected).await?;
        let name = format!("product {m}x{k} by {n}x{k} in {format}");
        comparisons.push(Comparison { tolerance: TOLERANCE_IN_HALF, ..Comparison::new(name, error) });
    }
    let ended = |(i, z): (usize, f64)| f64::from(other[i]) + f64::from(gates[n + i % n]) * z;
    let expected: Vec<f64> = plain::product(&x, &w, k).into_iter().enumerate().map(ended).collect();
    let ((x, other), w) = (inputs(), tensor(2 * seed + 1, [n, k], device));
    let gates = Gates { parts: tensor(3000 + seed, [1, 2, n], device), which: 1 };
    poison([m, n], device);
    let error = distance(dense_linear(x, w, None, End::Residual { other, gates }), &expected).await?;
    comparisons.push(Comparison::new(format!("product {m}x{k} by {n}x{k}"), error));
    Ok(comparisons)
}

/// Of these values, as they are stored, and what they are then.
fn matrix(
    values: &[f32],
    rows: usize,
    cols: usize,
    format: Format,
    device: &Device,
) -> Result<(QuantMatrix, Vec<f32>)> {
    if format == Format::F16 {
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        let stored = halves.iter().map(|half| half.to_f32()).collect();
        return Ok((QuantMatrix::upload_halves(&halves, rows, cols, device)?, stored));
    }
    let encoded = encode(values, rows, cols, format)?;
    let stored = decode(&encoded, rows, cols, format)?;
    Ok((QuantMatrix::upload(&encoded, rows, cols, format, device)?, stored))
}

/// Alone, and with a bias also added to another result.
async fn compare_attention(device: &Device, (shape, has_bias): Heads, seed: u64) -> Result<Vec<Comparison>> {
    let [heads, kv_heads, queries, keys, width] = shape;
    let (of_q, of_k) = ([2, heads, queries, width], [2, kv_heads, keys, width]);
    let shapes = [(4 * seed, of_q), (4 * seed + 1, of_k), (4 * seed + 2, of_k)];
    let plain = shapes.map(|(seed, shape)| numbers(seed, shape.iter().product()));
    let inputs = || shapes.map(|(seed, shape)| tensor::<4>(seed, shape, device));
    let bias: Vec<f32> = numbers(4 * seed + 3, 2 * keys).iter().map(|bias| 4.0 * bias).collect();

    let expected = plain::attention(&plain, of_q, of_k, 0.5, has_bias.then_some(&bias));
    let [q, k, v] = inputs();
    let bias_of = |bias: &[f32]| Tensor::<4>::from_data(TensorData::new(bias.to_vec(), [2, 1, 1, keys]), device);
    let tensor_of_bias = has_bias.then(|| bias_of(&bias));
    poison([2, queries, heads, width], device);
    let error = distance(attention::attention(q, k, v, 0.5, tensor_of_bias), &expected).await?;
    let suffix = if has_bias { " with a bias" } else { "" };
    let name = format!("attention of {heads}x{queries} queries to {kv_heads}x{keys} keys of width {width}{suffix}");
    let alone = Comparison::new(name, error);
    if !has_bias {
        return Ok(vec![alone]);
    }

    // The other lies as a result of attention does.
    let (gates, other) = (numbers(6, heads), numbers(7, plain[0].len()));
    let added = |(i, average): (usize, f64)| {
        let (row, head) = (i / width, i / width / queries % heads);
        let place = ((row / queries / heads * queries + row % queries) * heads + head) * width + i % width;
        f64::from(other[place]) + f64::from(gates[head]) * average
    };
    let expected: Vec<f64> = expected.into_iter().enumerate().map(added).collect();
    let other = tensor(7, [2, queries, heads, width], device).swap_dims(1, 2); // [B, H, N, d]
    let gates = tensor(6, [heads], device);
    let (inputs, bias) = (inputs(), bias_of(&bias));
    poison([2, queries, heads, width], device);
    let error = distance(attention::add_attention(other, gates, inputs, 0.5, Some(bias)), &expected).await?;
    Ok(vec![alone, Comparison::new(format!("attention of {heads}x{queries} queries, added to another"), error)])
}

async fn compare_convolutions(device: &Device, (shape, window): Area, seed: u64) -> Result<Comparison> {
    let [batch, inputs, outputs, height, width] = shape;
    let of_x = [batch, inputs, height, width];
    let places = [height, width].map(|length| window.places(length, 3));
    let counts = [of_x.iter().product(), outputs * inputs * 9, outputs];
    let plain = [0, 1, 2].map(|i| numbers(4 * seed + i as u64, counts[i]));
    let expected = plain::convolution(&plain, of_x, places, window);
    let weight = tensor(4 * seed + 1, [outputs, inputs, 3, 3], device);
    let (x, bias) = (tensor(4 * seed, of_x, device), tensor(4 * seed + 2, [outputs], device));
    poison([batch, outputs, places[0], places[1]], device);
    let error = distance(conv2d::conv2d(x, weight, bias, window), &expected).await?;
    Ok(Comparison::new(format!("convolution of {inputs}x{height}x{width} to {outputs}, {window:?}"), error))
}

/// Refuses a GPU that computes something else than the CPU; where no shader runs there is nothing to ask. One shape for
/// each kernel tells nonsense from numbers; more would cost the page a second of compiling on a slow driver.
///
/// # Errors
///
/// `unsupported` that names what went wrong, `device-lost` if the device does not answer.
pub async fn check(device: &Device) -> Result<()> {
    if !super::run_on(device) {
        return Ok(());
    }
    let comparisons = compare_shapes(device, &FEW).await?;
    match comparisons.iter().find(|comparison| !comparison.is_right()) {
        None => Ok(()),
        Some(Comparison { name, error, .. }) => {
            Err(wrong_numbers("the GPU", format!("a relative error of {error:.1e} in the {name}")))
        }
    }
}

/// `unsupported`: the GPU `subject` computes something else than the CPU.
pub fn wrong_numbers(subject: impl Into<String>, found: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, subject)
        .expected("the numbers that the CPU computes")
        .found(found)
        .remedy("a newer driver or browser may help; the device cpu is always there")
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::{super::Stock, *};

    #[test]
    fn nonsense_is_noticed() {
        let right = [0.5, -1.0, 2.0, 0.25];
        let tensor_of =
            |values: [f32; 4]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, 2]), &Device::flex());
        let error = |found| pollster::block_on(distance(tensor_of(found), &right.map(f64::from))).unwrap();
        let is_right = |found| Comparison::new(String::new(), error(found)).is_right();
        assert!(is_right(right));
        for wrong in [[0.0; 4], [0.5, -1.0, 2.0, 0.0], [0.5, -1.0, 2.0, f32::NAN], [f32::NAN; 4], [0.5, 1.0, 2.0, 0.25]]
        {
            assert!(!is_right(wrong), "{wrong:?}");
        }
    }

    /// Of f32 sums of a few hundred terms.
    const ROUNDING: f64 = 1e-5;
    /// Of x that the CPU rounds before it multiplies by codes, to 8 bits by the processors that have them.
    const ROUNDED: f64 = 1e-2;

    #[test]
    fn loops_compute_what_burn_and_the_cpus_kernels_compute() {
        for is_stock in [false, true] {
            let _stock = is_stock.then(|| Stock::turn_on().unwrap());
            let comparisons = pollster::block_on(compare(&Device::flex())).unwrap();
            assert!(comparisons.len() > 20);
            for Comparison { name, error, .. } in comparisons {
                let tolerance = if !is_stock && name.contains(" in q") { ROUNDED } else { ROUNDING };
                assert!(error <= tolerance, "{name}: {error:e}");
            }
        }
    }
}
