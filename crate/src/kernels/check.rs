//! Whether a device computes what the CPU computes. Drivers and browsers have turned shaders into nonsense without a word:
//! a model is opened on a GPU only after it was asked.

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use super::{
    attention,
    conv2d::{self, Window},
    linear::{End, Gates, QuantMatrix, dense_linear, dense_reference, quant_linear, reference},
    qk_norm_rope::{self, Pairing, Rotation},
    rms_norm_modulate::{self, Adaptation},
};
use crate::{
    error::{Error, ErrorKind, Result},
    quant::{Format, encode},
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

/// One kernel's result, computed on the device and on the CPU.
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

/// Runs our shaders and Burn's product of matrices on `device`, over ragged shapes, and compares them with the CPU. What
/// the results are written to holds NaN before, so that a value that is not written shows.
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
        comparisons.push(compare_attention(device, shape, seed).await?);
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
    let x = TensorData::new(numbers(2 * seed, m * k), [m, k]);
    let w = numbers(2 * seed + 1, n * k);
    let b = |device: &Device| tensor::<1>(1000 + seed, [n], device);
    for format in Format::ALL.into_iter().filter(|format| format.is_quantized()) {
        let encoded = encode(&w, n, k, format)?;
        let product = |device: &Device, multiply: MultiplyQuantized| -> Result<Tensor<2>> {
            let matrix = QuantMatrix::upload(&encoded, n, k, format, device)?;
            Ok(multiply(
                Tensor::from_data(x.clone(), device),
                &matrix,
                Some(b(device)),
                End::Gated(tensor(2000 + seed, [m, n], device)),
            ))
        };
        let expected = product(&Device::flex(), reference)?;
        poison([m, n], device);
        let error = distance(product(device, quant_linear)?, expected).await?;
        let name = format!("product {m}x{k} by {n}x{k} in {format}");
        comparisons.push(Comparison { tolerance: TOLERANCE_IN_HALF, ..Comparison::new(name, error) });
    }
    let product = |device: &Device, multiply: Multiply| {
        let w = Tensor::from_data(TensorData::new(w.clone(), [n, k]), device);
        let gates = Gates { parts: tensor(3000 + seed, [1, 2, n], device), which: 1 };
        let end = End::Residual { other: tensor(2000 + seed, [m, n], device), gates };
        multiply(Tensor::from_data(x.clone(), device), w, None, end)
    };
    let expected = product(&Device::flex(), dense_reference);
    poison([m, n], device);
    let error = distance(product(device, dense_linear), expected).await?;
    comparisons.push(Comparison::new(format!("product {m}x{k} by {n}x{k}"), error));
    Ok(comparisons)
}

async fn compare_attention(device: &Device, (shape, has_bias): Heads, seed: u64) -> Result<Comparison> {
    let [heads, kv_heads, queries, keys, width] = shape;
    let attend = |device: &Device, attend: Attend| {
        let [k, v] = [1, 2].map(|number| tensor(4 * seed + number, [2, kv_heads, keys, width], device));
        let bias = has_bias.then(|| tensor(4 * seed + 3, [2, 1, 1, keys], device) * 4.0);
        attend(tensor(4 * seed, [2, heads, queries, width], device), k, v, 0.5, bias)
    };
    let expected = attend(&Device::flex(), attention::reference);
    poison([2, queries, heads, width], device);
    let error = distance(attend(device, attention::attention), expected).await?;
    let bias = if has_bias { " with a bias" } else { "" };
    let name = format!("attention of {heads}x{queries} queries to {kv_heads}x{keys} keys of width {width}{bias}");
    Ok(Comparison::new(name, error))
}

async fn compare_convolutions(device: &Device, (shape, window): Area, seed: u64) -> Result<Comparison> {
    let [batch, inputs, outputs, height, width] = shape;
    let convolved = |device: &Device, convolve: Convolve| {
        let weight = tensor(4 * seed + 1, [outputs, inputs, 3, 3], device);
        let bias = tensor(4 * seed + 2, [outputs], device);
        convolve(tensor(4 * seed, [batch, inputs, height, width], device), weight, bias, window)
    };
    let expected = convolved(&Device::flex(), conv2d::reference);
    poison(expected.dims(), device);
    let error = distance(convolved(device, conv2d::conv2d), expected).await?;
    Ok(Comparison::new(format!("convolution of {inputs}x{height}x{width} to {outputs}, {window:?}"), error))
}

/// A kernel's or its reference's signature.
type Convolve = fn(Tensor<4>, Tensor<4>, Tensor<1>, Window) -> Tensor<4>;
/// Likewise.
type Multiply = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, End) -> Tensor<2>;
/// Likewise.
type MultiplyQuantized = fn(Tensor<2>, &QuantMatrix, Option<Tensor<1>>, End) -> Tensor<2>;
/// Likewise.
type Attend = fn(Tensor<4>, Tensor<4>, Tensor<4>, f64, Option<Tensor<4>>) -> Tensor<4>;

async fn compare_norms(device: &Device, [tokens, heads, width]: [usize; 3], seed: u64) -> Result<Vec<Comparison>> {
    let dim = heads * width;
    let of = |number: u64| 8 * seed + number;
    let turned = |device: &Device, turn: Turn| {
        let [cos, sin] = [1, 2].map(|number| tensor(of(number), [1, 1, tokens, width], device));
        let [weight, bias] = [3, 4].map(|number| tensor(of(number), [dim], device));
        let norm = qk_norm_rope::Norm { weight, bias, epsilon: 1e-5 };
        turn(tensor(of(0), [2, tokens, dim], device), heads, Some(norm), &Rotation::new(cos, sin, Pairing::Adjacent))
    };
    let expected = turned(&Device::flex(), qk_norm_rope::reference);
    poison([2, tokens, dim], device);
    let error = distance(turned(device, qk_norm_rope::qk_norm_rope), expected).await?;
    let rope = Comparison::new(format!("norm and rotation of {tokens} tokens of {heads}x{width}"), error);

    let modulated = |device: &Device, modulate: Modulate| {
        let norm = rms_norm_modulate::Norm { weight: Some(tensor(of(3), [dim], device)), offset: 0.0, epsilon: 1e-5 };
        let adaptation = Adaptation { parts: tensor(of(5), [2, 6, dim], device), scale: 4, shift: Some(3) };
        modulate(tensor(of(0), [2, tokens, dim], device), norm, Some(adaptation))
    };
    let expected = modulated(&Device::flex(), rms_norm_modulate::reference);
    poison([2, tokens, dim], device);
    let error = distance(modulated(device, rms_norm_modulate::rms_norm_modulate), expected).await?;
    Ok(vec![rope, Comparison::new(format!("norm and modulation of {tokens} tokens of {dim}"), error)])
}

/// Likewise.
type Turn = fn(Tensor<3>, usize, Option<qk_norm_rope::Norm>, &Rotation) -> Tensor<4>;
type Modulate = fn(Tensor<3>, rms_norm_modulate::Norm, Option<Adaptation>) -> Tensor<3>;

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

/// Leaves freed memory full of NaN where the next tensor of this shape will lie.
fn poison<const D: usize>(shape: [usize; D], device: &Device) {
    drop(Tensor::<D>::full(shape, f32::NAN, device));
}

async fn distance<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> Result<f64> {
    let [found, expected] = [values(found).await?, values(expected).await?];
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(&expected).map(|(found, expected)| found - expected));
    Ok(difference / norm(&mut expected.iter().copied()))
}

async fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f64>> {
    let data = tensor.into_data_async().await.map_err(|error| Error::device_lost("the numbers of a test", error))?;
    Ok(data.iter::<f64>().collect())
}

/// [`numbers`] as a tensor.
fn tensor<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(seed, shape.iter().product()), shape), device)
}

/// Numbers between −1 and 1 without a pattern, the same everywhere (the finaliser of splitmix64).
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let number = |i: u64| {
        let mut z = (seed << 32 | i).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z >> 40) as f32 / (1 << 23) as f32) - 1.0
    };
    (0..count as u64).map(number).collect()
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    fn tensor_of(values: [f32; 4]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [2, 2]), &Device::flex())
    }

    #[test]
    fn nonsense_is_noticed() {
        let right = [0.5, -1.0, 2.0, 0.25];
        let error = |found| pollster::block_on(distance(tensor_of(found), tensor_of(right))).unwrap();
        let is_right = |found| Comparison::new(String::new(), error(found)).is_right();
        assert!(is_right(right));
        for wrong in [[0.0; 4], [0.5, -1.0, 2.0, 0.0], [0.5, -1.0, 2.0, f32::NAN], [f32::NAN; 4], [0.5, 1.0, 2.0, 0.25]]
        {
            assert!(!is_right(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn the_numbers_have_no_pattern() {
        let numbers = numbers(3, 4096);
        assert!(numbers.iter().all(|number| (-1.0..1.0).contains(number)));
        let mean = numbers.iter().sum::<f32>() / 4096.0;
        // Four standard errors of the mean of a uniform distribution.
        assert!(mean.abs() < 4.0 * (1.0f32 / 3.0).sqrt() / 64.0, "{mean}");
        assert_ne!(numbers[..2048], numbers[2048..]);
    }
}
