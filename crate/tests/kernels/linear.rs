//! Products with matrices, dense ones and such that stay quantized.

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use flagdit::kernels::linear::{
    Arithmetic, End, Gates, QuantMatrix, Way, dense, dense_linear, dense_reference, launches, quant_linear, quantized,
    reference,
};
use flagdit::quant::{Format, decode, encode};
use flagdit::sampler::noise;
use half::f16;

use super::{devices, distance, normal};

/// Dequantized by tensor operations or by the decoder: the same products of the same numbers.
const DEQUANTIZED: f64 = 1e-6;
/// ‖found − expected‖ / ‖expected‖ of sums of up to a few hundred f32 products in another order.
const PRODUCT: f64 = 1e-5;
/// The same of f16, of which 16 products at a time are summed up: 2⁻¹¹ of each factor, and of sums of up to 16 of them.
const PRODUCT_IN_HALF: f64 = 2e-3;
/// The same of x in 8 bits by blocks: half a step of the largest of 32 normal numbers, 1/254 of it, is 0.5 % of a usual one.
const PRODUCT_IN_INT8: f64 = 1.5e-2;
/// Rows of x, of W, and their columns: below, at and beyond tiles, blocks and rows of words.
const SHAPES: [[usize; 3]; 13] = [
    [1, 1, 1],
    [1, 3, 31],
    [2, 64, 32],
    [5, 65, 33],
    [16, 63, 64],
    [17, 130, 65],
    [40, 192, 192],
    [64, 64, 96],
    [65, 100, 127],
    [129, 7, 160],
    [72, 1152, 192],
    [3, 469, 352],
    // Large enough for high tiles.
    [1030, 1000, 45],
];

/// Of what the device chooses for codes.
fn of_codes() -> f64 {
    if devices::is_real() { PRODUCT_IN_HALF } else { PRODUCT }
}

/// What stays packed on a device.
const PACKED: [Format; 4] = [Format::Q4B32, Format::Q4AB32, Format::Q8B32, Format::F16];

struct Case {
    matrix: QuantMatrix,
    dense: Tensor<2>,
    x: Tensor<2>,
    b: Tensor<1>,
}

fn case([m, n, k]: [usize; 3], format: Format, seed: u64, device: &Device) -> Case {
    let weights = noise::normal(seed, 0, n * k);
    let (matrix, dense) = packed(&weights, n, k, format, device);
    Case {
        matrix,
        dense: Tensor::from_data(TensorData::new(dense, [n, k]), device),
        x: normal(seed + 1, [m, k], device),
        b: normal(seed + 2, [n], device),
    }
}

/// The matrix, and its values.
pub fn packed(weights: &[f32], n: usize, k: usize, format: Format, device: &Device) -> (QuantMatrix, Vec<f32>) {
    if format == Format::F16 {
        let halves: Vec<f16> = weights.iter().map(|&weight| f16::from_f32(weight)).collect();
        let matrix = QuantMatrix::upload_halves(&halves, n, k, device).expect("a matrix");
        return (matrix, halves.iter().map(|half| half.to_f32()).collect());
    }
    let encoded = encode(weights, n, k, format).expect("finite weights");
    let dense = decode(&encoded, n, k, format).expect("what was just encoded");
    (QuantMatrix::upload(&encoded, n, k, format, device).expect("a matrix"), dense)
}

#[test]
fn codes_mean_on_the_device_what_they_mean_in_the_file() {
    for device in [Device::flex(), devices::software_gpu().0] {
        for (seed, shape) in SHAPES.into_iter().enumerate() {
            for format in PACKED {
                let Case { matrix, dense, .. } = case(shape, format, seed as u64, &device);
                let error = distance(matrix.dequantize(), dense);
                assert!(error < DEQUANTIZED, "{shape:?} {format}: {error}");
            }
        }
    }
}

#[test]
fn the_shader_agrees_with_its_reference() {
    let device = devices::software_gpu().0;
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        for format in PACKED {
            let Case { matrix, dense, x, b } = case(shape, format, 100 + seed as u64, &device);
            let before = launches();
            let found = quant_linear(x.clone(), &matrix, Some(b.clone()), End::Plain);
            assert!(launches() > before, "the shader was not launched");
            let error = distance(found, reference(x.clone(), &matrix, Some(b.clone()), End::Plain));
            assert!(error < of_codes(), "{shape:?} {format} with a bias: {error}");
            let expected = x.clone().matmul(dense.clone().transpose());
            let error = distance(quant_linear(x.clone(), &matrix, None, End::Plain), expected.clone());
            assert!(error < of_codes(), "{shape:?} {format} against the decoder: {error}");
            let error = distance(dense_linear(x, dense, Some(b.clone()), End::Plain), expected + b.unsqueeze::<2>());
            assert!(error < PRODUCT, "{shape:?} dense: {error}");
        }
    }
}

/// Whatever a device would choose, every way to make a product gives it.
#[test]
fn every_way_agrees_with_the_reference() {
    let device = devices::software_gpu().0;
    for (seed, shape) in [[2, 65, 33], [9, 20, 100], [70, 141, 64], [150, 140, 76]].into_iter().enumerate() {
        for format in PACKED {
            let Case { matrix, x, b, .. } = case(shape, format, 200 + seed as u64, &device);
            let expected = reference(x.clone(), &matrix, Some(b.clone()), End::Plain);
            for way in Way::on(&device, format.is_quantized()) {
                let found = quantized(x.clone(), &matrix, Some(b.clone()), End::Plain, Some(way));
                let error = distance(found, expected.clone());
                assert!(error < tolerance(way), "{shape:?} {format} {way:?}: {error}");
            }
        }
        let Case { dense: w, x, b, .. } = case(shape, Format::Q8B32, 200 + seed as u64, &device);
        let expected = dense_reference(x.clone(), w.clone(), Some(b.clone()), End::Plain);
        for way in Way::on(&device, false) {
            let found = dense(x.clone(), w.clone(), Some(b.clone()), End::Plain, Some(way));
            let error = distance(found, expected.clone());
            assert!(error < tolerance(way), "{shape:?} dense {way:?}: {error}");
        }
    }
}

fn tolerance(way: Way) -> f64 {
    match way.arithmetic {
        Arithmetic::Full => PRODUCT,
        Arithmetic::Half => PRODUCT_IN_HALF,
        Arithmetic::Int8 => PRODUCT_IN_INT8,
    }
}

/// All that can follow a product of so many rows of each row of the batch and n columns.
pub fn ends(seed: u64, [batch, rows, n]: [usize; 3], device: &Device) -> [End; 4] {
    let other: Tensor<2> = normal(seed + 3, [batch * rows, n], device);
    let gates = Gates { parts: normal(seed + 4, [batch, 3, n], device), which: seed as usize / 10 % 3 };
    let residual = End::Residual { other: other.clone(), gates };
    [residual, End::Silu(None), End::Silu(Some(other.clone() * 3.0)), End::Gated(other * 4.0)]
}

/// Residual branches with gates of their own for each row of the batch, and gates of feed-forward layers.
#[test]
fn every_end_agrees_with_the_reference() {
    let device = devices::software_gpu().0;
    for (seed, [batch, rows, n, k]) in [[1, 1, 3, 8], [2, 35, 66, 64], [3, 7, 20, 33]].into_iter().enumerate() {
        let seed = 300 + 10 * seed as u64;
        let Case { matrix, dense: w, x, b } = case([batch * rows, n, k], Format::Q4B32, seed, &device);
        for end in ends(seed, [batch, rows, n], &device) {
            let expected = reference(x.clone(), &matrix, Some(b.clone()), end.clone());
            let error = distance(quant_linear(x.clone(), &matrix, Some(b.clone()), end.clone()), expected.clone());
            assert!(error < PRODUCT, "{batch}x{rows} by {n}x{k}, {end:?}: {error}");
            let error = distance(dense_linear(x.clone(), w.clone(), Some(b.clone()), end.clone()), expected);
            assert!(error < PRODUCT, "{batch}x{rows} by {n}x{k} dense, {end:?}: {error}");
        }
    }
}

/// A tensor that is a view of another one must not be read as if it were whole.
#[test]
fn the_shader_reads_transposed_and_cut_inputs() {
    let device = devices::software_gpu().0;
    let Case { matrix, dense, .. } = case([1, 70, 96], Format::Q8B32, 7, &device);
    let wide = Tensor::<2>::random([96, 50], Distribution::Normal(0.0, 1.0), &device);
    let view = wide.transpose().narrow(0, 3, 20); // [20, 96]
    let error = distance(quant_linear(view.clone(), &matrix, None, End::Plain), view.matmul(dense.transpose()));
    assert!(error < PRODUCT, "{error}");
}

/// Values that halves hold exactly, those without a leading 1 among them, and how they are laid out in words.
#[test]
fn halves_are_widened_exactly() {
    for device in [Device::flex(), devices::software_gpu().0] {
        for cols in [1, 2, 5, 8, 11] {
            let values: Vec<f16> = (0..3 * cols).map(|i| f16::from_bits((i * 1987 + 513) as u16 & 0xbfff)).collect();
            let matrix = QuantMatrix::upload_halves(&values, 3, cols, &device).expect("a matrix");
            let expected: Vec<f32> = values.iter().map(|half| half.to_f32()).collect();
            let found: Vec<f32> = matrix.dequantize().into_data().iter::<f32>().collect();
            assert_eq!(found, expected, "{cols} columns");
            let bytes = QuantMatrix::bytes(3, cols, Format::F16);
            assert!((6 * cols as u64..=6 * (cols as u64 + 7)).contains(&bytes), "{bytes} bytes of {cols} columns");
        }
    }
    let refusal = QuantMatrix::upload_halves(&[f16::ONE; 5], 2, 3, &Device::flex()).unwrap_err().to_string();
    assert!(refusal.contains("5 values"), "{refusal}");
}

#[test]
fn a_matrix_that_is_not_what_it_says_is_refused() {
    let device = Device::flex();
    let encoded = encode(&noise::normal(1, 0, 64 * 2), 2, 64, Format::Q8B32).expect("finite weights");
    let refusal =
        |rows, cols, format| QuantMatrix::upload(&encoded, rows, cols, format, &device).unwrap_err().to_string();
    assert!(refusal(3, 64, Format::Q8B32).contains("number of words"));
    assert!(refusal(2, 64, Format::Q4B32).contains("number of words"));
    assert!(refusal(2, 64, Format::F16).contains("a block format"));
    let mut damaged = encoded.clone();
    damaged.scales[1] = half::f16::INFINITY;
    let error = QuantMatrix::upload(&damaged, 2, 64, Format::Q8B32, &device).unwrap_err();
    assert!(error.to_string().contains("scale of block 1"), "{error}");
}
