//! Products with codes on the processor, by each of its instructions, against plain tensors.

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::kernels::cpu::codes::{Precision, Way, quant_linear, quant_linear_by};
use flagdit::kernels::linear::{End, QuantMatrix, dense_reference, quant_linear as on_its_device};
use flagdit::quant::{BLOCK, Encoded, Format, Layout};
use flagdit::sampler::noise;
use half::f16;

use super::cpu::{PRODUCTS, x};
use super::distance;
use super::linear::{ends, packed};

/// ‖found − expected‖ / ‖expected‖ of the same whole numbers, summed up over blocks in another order.
const ROUNDED: f64 = 1e-5;
/// The same of x in 8 bits by blocks: half a step of the largest of 32 normal numbers, 1/254 of it, is 0.5 % of a usual one.
const IN_8_BITS: f64 = 1e-2;
/// In 16 bits it is a 257th of that.
const IN_16_BITS: f64 = 4e-5;
const CODES: [Format; 3] = [Format::Q4B32, Format::Q4AB32, Format::Q8B32];

/// W of normal numbers, and what its codes stand for.
fn codes(seed: u64, [n, k]: [usize; 2], format: Format) -> (QuantMatrix, Tensor<2>) {
    let (matrix, values) = packed(&noise::normal(seed, 0, n * k), n, k, format, &Device::flex());
    (matrix, Tensor::from_data(TensorData::new(values, [n, k]), &Device::flex()))
}

/// Each block of a row to whole numbers of steps, of which its largest number has as many as that precision allows.
fn rounded(x: Tensor<2>, precision: Precision) -> Tensor<2> {
    let most = if precision == Precision::Bytes { 127.0 } else { 32_639.0 };
    let [m, k] = x.dims();
    let padded = k.next_multiple_of(BLOCK);
    let zeros = Tensor::zeros([m, padded - k], &x.device());
    let blocks = Tensor::cat(vec![x, zeros], 1).reshape([m, padded / BLOCK, BLOCK]); // [M, blocks, 32]
    let steps = blocks.clone().abs().max_dim(2) / most;
    let numbers = (blocks / steps.clone()).round();
    (numbers * steps).reshape([m, padded]).narrow(1, 0, k) // [M, K]
}

#[test]
fn every_way_multiplies_what_was_rounded() {
    assert!(Way::all().count() > 0 && Way::best() == Way::all().next().expect("plain"));
    for (seed, [m, n, k]) in (0..).step_by(10).zip(PRODUCTS) {
        let (input, b) = (x(seed, [m, k]), x(seed + 2, [n]));
        for format in CODES {
            let (matrix, w) = codes(seed + 1, [n, k], format);
            let product = |x| dense_reference(x, w.clone(), Some(b.clone()), End::Plain);
            let exact = product(input.clone());
            for way in Way::all() {
                let precision = way.precision(format.code_bits().expect("codes"));
                let found = quant_linear_by(way, &input, &matrix, Some(&b), &End::Plain).expect("codes on the CPU");
                let error = distance(found.clone(), product(rounded(input.clone(), precision)));
                assert!(error < ROUNDED, "{m}x{k} by {n}x{k} {format} {way:?}: {error}");
                let error = distance(found, exact.clone());
                let most = if precision == Precision::Bytes { IN_8_BITS } else { IN_16_BITS };
                assert!(error < most, "{m}x{k} by {n}x{k} {format} {way:?}: {error} to the exact one");
            }
        }
    }
}

#[test]
fn every_end_follows_codes() {
    for (seed, [batch, rows, n, k]) in [[1, 1, 3, 8], [2, 35, 66, 64], [3, 7, 20, 33]].into_iter().enumerate() {
        let seed = 300 + 10 * seed as u64;
        let (matrix, w) = codes(seed, [n, k], Format::Q4B32);
        let (input, b) = (x(seed + 1, [batch * rows, k]), x(seed + 2, [n]));
        let precision = Way::best().precision(4);
        for end in ends(seed, [batch, rows, n], &Device::flex()) {
            let expected = dense_reference(rounded(input.clone(), precision), w.clone(), Some(b.clone()), end.clone());
            let error = distance(on_its_device(input.clone(), &matrix, Some(b.clone()), end.clone()), expected);
            assert!(error < ROUNDED, "{batch}x{rows} by {n}x{k}, {end:?}: {error}");
        }
    }
}

/// The largest codes with the largest numbers: no sum may run over, whatever the instruction.
#[test]
fn the_largest_codes_are_summed_up_exactly() {
    let (n, k) = (40, 128);
    for (format, words, level) in [
        (Format::Q8B32, [0x8080_8080, 0x7F7F_7F7F], [-128.0, 127.0]),
        (Format::Q4B32, [0, u32::MAX], [-8.0, 7.0]),
        (Format::Q4AB32, [0, u32::MAX], [0.0, 15.0]),
    ] {
        let layout = Layout::new(n, k, format).expect("a layout");
        let half = |word: usize| word / layout.words_per_row % 2;
        let encoded = Encoded {
            codes: (0..layout.words()).map(|word| words[half(word)]).collect(),
            scales: vec![f16::ONE; layout.scales()],
            mins: format.has_min().then(|| vec![f16::ZERO; layout.scales()]),
        };
        let matrix = QuantMatrix::upload(&encoded, n, k, format, &Device::flex()).expect("a matrix");
        for sign in [1.0, -1.0] {
            let input = Tensor::<2>::full([7, k], 127.0 * sign, &Device::flex());
            for way in Way::all() {
                let found = quant_linear_by(way, &input, &matrix, None, &End::Plain).expect("codes on the CPU");
                let found: Vec<f32> = found.into_data().iter::<f32>().collect();
                for (place, found) in found.into_iter().enumerate() {
                    let expected = level[place % n % 2] * 127.0 * sign as f32 * k as f32;
                    assert_eq!(found, expected, "{format} {way:?} at {place}");
                }
            }
        }
    }
}

#[test]
fn codes_take_views_and_what_is_not_finite() {
    let (matrix, w) = codes(1, [20, 70], Format::Q8B32);
    let view = x::<2>(2, [90, 50]).transpose().narrow(0, 3, 20).narrow(1, 5, 70); // [20, 70]
    let found = quant_linear(&view, &matrix, None, &End::Plain).expect("codes on the CPU");
    let expected = dense_reference(rounded(view.clone(), Way::best().precision(8)), w, None, End::Plain);
    assert!(distance(found, expected) < ROUNDED);
    let mut values: Vec<f32> = view.into_data().iter::<f32>().collect();
    values[3 * 70 + 40] = f32::NAN;
    let input = Tensor::<2>::from_data(TensorData::new(values, [20, 70]), &Device::flex());
    for way in Way::all() {
        let found = quant_linear_by(way, &input, &matrix, None, &End::Plain).expect("codes on the CPU");
        let found: Vec<f32> = found.into_data().iter::<f32>().collect();
        for (row, found) in found.chunks(20).enumerate() {
            assert!(found.iter().all(|number| number.is_nan() == (row == 3)), "{way:?}, row {row}: {found:?}");
        }
    }
}
