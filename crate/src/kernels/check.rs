//! Whether a device computes what the CPU computes. Drivers and browsers have turned shaders into nonsense without a word:
//! a model is opened on a GPU only after it was asked.

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use serde::Serialize;

mod numbers;

use numbers::{distance, numbers, poison, tensor};

use super::{
    attention,
    conv2d::{self, Window},
    layer_norm,
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
    let x = TensorData::new(numbers(2 * seed, m * k), [m, k]);
    let w = numbers(2 * seed + 1, n * k);
    let b = |device: &Device| tensor::<1>(1000 + seed, [n], device);
    for format in Format::ALL.into_iter().filter(|format| QuantMatrix::takes(*format, true)) {
        let product = |device: &Device, multiply: MultiplyQuantized| -> Result<Tensor<2>> {
            let matrix = matrix(&w, n, k, format, device)?;
            let other = tensor(2000 + seed, [m, n], device);
            let end = if format.is_quantized() { End::Gated(other) } else { End::Silu(Some(other)) };
            Ok(multiply(Tensor::from_data(x.clone(), device), &matrix, Some(b(device)), end))
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

/// Of these values, as they are stored.
fn matrix(values: &[f32], rows: usize, cols: usize, format: Format, device: &Device) -> Result<QuantMatrix> {
    if format == Format::F16 {
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        return QuantMatrix::upload_halves(&halves, rows, cols, device);
    }
    QuantMatrix::upload(&encode(values, rows, cols, format)?, rows, cols, format, device)
}

/// Alone, and with a bias also added to another result.
async fn compare_attention(device: &Device, (shape, has_bias): Heads, seed: u64) -> Result<Vec<Comparison>> {
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
    let alone = Comparison::new(name, error);
    if !has_bias {
        return Ok(vec![alone]);
    }
    let added = |device: &Device| {
        let [k, v] = [1, 2].map(|number| tensor(4 * seed + number, [2, kv_heads, keys, width], device));
        let (q, bias) = (tensor(4 * seed, [2, heads, queries, width], device), tensor(5, [2, 1, 1, keys], device));
        let other = tensor(4 * seed + 3, [2, queries, heads, width], device).swap_dims(1, 2);
        attention::add_attention(other, tensor(6, [heads], device), [q, k, v], 0.5, Some(bias))
    };
    let expected = added(&Device::flex());
    poison([2, queries, heads, width], device);
    let error = distance(added(device), expected).await?;
    Ok(vec![alone, Comparison::new(format!("attention of {heads}x{queries} queries, added to another"), error)])
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
    let modulation = Comparison::new(format!("norm and modulation of {tokens} tokens of {dim}"), error);

    let normed = |device: &Device, norm: LayerNorm| {
        let [weight, bias] = [6, 7].map(|number| tensor(of(number), [dim], device));
        norm(tensor(of(0), [2, tokens, dim], device), weight, bias, 1e-5)
    };
    let expected = normed(&Device::flex(), layer_norm::layer_norm_reference);
    poison([2, tokens, dim], device);
    let error = distance(normed(device, layer_norm::layer_norm), expected).await?;
    Ok(vec![rope, modulation, Comparison::new(format!("layer norm of {tokens} tokens of {dim}"), error)])
}

/// Likewise.
type Turn = fn(Tensor<3>, usize, Option<qk_norm_rope::Norm>, &Rotation) -> Tensor<4>;
type Modulate = fn(Tensor<3>, rms_norm_modulate::Norm, Option<Adaptation>) -> Tensor<3>;
/// Likewise.
type LayerNorm = fn(Tensor<3>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>;

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
}
