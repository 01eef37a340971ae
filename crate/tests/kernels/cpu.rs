//! The processor's own loops against the plain-tensor references, over ragged shapes.

use burn::tensor::{DType, Device, Tensor, TensorData};
use flagdit::kernels::attention::{self, add_attention, attention};
use flagdit::kernels::cpu;
use flagdit::kernels::linear::{End, Gates, dense_linear, dense_reference};
use flagdit::kernels::qk_norm_rope::{self, Pairing, Rotation, qk_norm_rope};
use flagdit::kernels::rms_norm_modulate::{self, Adaptation, rms_norm_modulate};
use flagdit::nn::attention::{MASKED, causal_bias, merge_heads, split_heads};

use super::{distance, normal};

/// ‖found − expected‖ / ‖expected‖ of sums of up to a thousand f32 in another order, and an exponential within 2e-7.
const TOLERANCE: f64 = 1e-5;
/// Rows of x, of W, and their columns: few and many rows, one piece and several, beside vectors and tiles.
pub const PRODUCTS: [[usize; 3]; 13] = [
    [1, 1, 1],
    [1, 3, 31],
    [2, 1100, 300],
    [5, 65, 33],
    [6, 32, 64],
    [16, 63, 64],
    [17, 130, 65],
    [40, 192, 192],
    [129, 7, 160],
    [72, 1152, 192],
    [130, 16, 1],
    [544, 513, 192],
    [1030, 1000, 45],
];
/// Batch, query heads, key heads, queries, keys, width of a head.
const HEADS: [[usize; 6]; 10] = [
    [1, 1, 1, 1, 1, 1],
    [2, 3, 3, 7, 5, 12],
    [2, 6, 6, 72, 19, 32],
    [1, 4, 2, 33, 31, 24],
    [3, 4, 1, 31, 65, 6],
    [2, 6, 6, 272, 272, 32],
    [1, 2, 2, 20, 33, 71],
    [1, 6, 2, 65, 34, 96],
    [1, 1, 1, 8, 40, 512],
    [1, 1, 1, 300, 5000, 16],
];
/// Batch, tokens, heads, width of a head: below, at and beyond the 16 numbers of a vector, one piece and several.
const TOKENS: [[usize; 4]; 8] = [
    [1, 1, 1, 4],
    [2, 3, 2, 12],
    [1, 4, 4, 16],
    [2, 272, 6, 32],
    [3, 5, 1, 62],
    [1, 9, 3, 72],
    [2, 1300, 5, 46],
    [1, 2, 8, 128],
];

pub fn x<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    normal(seed, shape, &Device::flex())
}

#[test]
fn every_end_of_a_product_agrees_with_the_reference() {
    for (seed, [m, n, k]) in (0..).step_by(10).zip(PRODUCTS) {
        let (input, w, b) = (x(seed, [m, k]), x(seed + 1, [n, k]), x(seed + 2, [n]));
        let other: Tensor<2> = x(seed + 3, [m, n]);
        let rows = (1..=m.min(4)).rev().find(|&batch| m.is_multiple_of(batch)).expect("one divides all");
        let residual =
            End::Residual { other: other.clone(), gates: Gates { parts: x(seed + 4, [rows, 4, n]), which: 2 } };
        let activated = [End::Silu(None), End::Silu(Some(other.clone() * 3.0))];
        for end in [End::Plain, residual, End::Gated(other * 4.0)].into_iter().chain(activated) {
            for b in [None, Some(b.clone())] {
                let found = cpu::linear::dense_linear(&input, &w, b.as_ref(), &end).expect("plain f32 on the CPU");
                let expected = dense_reference(input.clone(), w.clone(), b, end.clone());
                let error = distance(found, expected);
                assert!(error < TOLERANCE, "{m}x{k} by {n}x{k}, {end:?}: {error}");
            }
        }
    }
}

#[test]
fn products_read_views() {
    let wide: Tensor<2> = x(1, [96, 50]);
    let input = wide.clone().transpose().narrow(0, 3, 20); // [20, 96]
    let by_columns = x(2, [96, 70]).transpose(); // [70, 96]
    let reversed = x(3, [70, 96]).flip([0, 1]);
    let other = x(4, [70, 40]).transpose().narrow(0, 9, 20); // [20, 70]
    for w in [by_columns, reversed] {
        let parts = x(5, [70, 3]).transpose().narrow(0, 1, 1).expand([2, 70]).unsqueeze_dim(1); // [2, 1, 70]
        let gates = Gates { parts, which: 0 };
        for end in [End::Gated(other.clone()), End::Residual { other: other.clone(), gates }] {
            let found = cpu::linear::dense_linear(&input, &w, None, &end).expect("plain f32 on the CPU");
            let error = distance(found, dense_reference(input.clone(), w.clone(), None, end.clone()));
            assert!(error < TOLERANCE, "{end:?}: {error}");
        }
    }
}

#[test]
fn attention_agrees_with_its_reference() {
    for (seed, shape) in (0..).step_by(10).zip(HEADS) {
        let [batch, heads, kv_heads, queries, keys, width] = shape;
        let q = x(seed, [batch, heads, queries, width]);
        let [k, v] = [1, 2].map(|number| x(seed + number, [batch, kv_heads, keys, width]));
        let biases = [
            None,
            Some(x(seed + 3, [batch, 1, 1, keys])),
            Some(x(seed + 4, [1, heads, queries, keys])),
            Some(x(seed + 5, [batch, 1, queries, 1]).expand([batch, 1, queries, keys])),
        ];
        for (number, bias) in biases.into_iter().enumerate() {
            let found = cpu::attention::attention(&q, &k, &v, 0.4, bias.as_ref(), None).expect("plain f32 on the CPU");
            let expected = attention::reference(q.clone(), k.clone(), v.clone(), 0.4, bias);
            let error = distance(found, expected);
            assert!(error < TOLERANCE, "{shape:?}, bias {number}: {error}");
        }
    }
}

#[test]
fn attention_reads_views() {
    let (heads, width) = (4, 24);
    let [q, k, v] = [1, 2, 3].map(|seed| split_heads(x(seed, [2, 45, heads * width]), heads));
    let k = Tensor::cat(vec![k.clone(), k], 3).narrow(3, width / 2, width);
    let v = (v.swap_dims(2, 3) * 1.0).swap_dims(2, 3);
    let bias = x(4, [1, 1, 45, 45]).swap_dims(2, 3);
    let found = cpu::attention::attention(&q, &k, &v, 0.3, Some(&bias), None).expect("plain f32 on the CPU");
    let expected = attention::reference(q, k, v, 0.3, Some(bias));
    assert!(distance(merge_heads(found), merge_heads(expected)) < TOLERANCE);
}

/// To something else beside a first one, which lies in heads or token by token.
#[test]
fn attention_is_added_by_gates() {
    for (seed, [batch, heads, kv_heads, queries, keys, width]) in (0..).step_by(10).zip(HEADS) {
        let q = x(seed, [batch, heads, queries, width]);
        let [k, v] = [1, 2].map(|number| x(seed + number, [batch, kv_heads, keys, width]));
        let gates = x(seed + 3, [heads]);
        let product = attention::reference(q.clone(), k.clone(), v.clone(), 0.4, None);
        let added = product * gates.clone().reshape([1, heads, 1, 1]); // [B, H, N, d]
        for other in
            [x(seed + 4, [batch, heads, queries, width]), x(seed + 5, [batch, queries, heads, width]).swap_dims(1, 2)]
        {
            let onto = Some((&other, &gates));
            let found = cpu::attention::attention(&q, &k, &v, 0.4, None, onto).expect("plain f32 on the CPU");
            let expected = other.clone() + added.clone();
            assert!(distance(found.clone(), expected) < TOLERANCE, "{batch}x{heads}x{queries}x{keys}x{width}");
            let kernel = add_attention(other, gates.clone(), [q.clone(), k.clone(), v.clone()], 0.4, None);
            assert_eq!((kernel - found).abs().max().into_scalar::<f32>(), 0.0, "the kernel goes another way");
        }
    }
}

/// One row has no key at all: it gets the average of all values.
#[test]
fn masked_keys_have_no_part() {
    let [q, k, v] = [1, 2, 3].map(|seed| x(seed, [1, 2, 70, 32]));
    let none = Tensor::full([1, 1, 1, 70], MASKED, &Device::flex());
    let bias = Tensor::cat(vec![causal_bias(70, &Device::flex()).narrow(2, 0, 69).flip([3]), none], 2); // [1, 1, N, N]
    let found = cpu::attention::attention(&q, &k, &v, 1.0, Some(&bias), None).expect("plain f32 on the CPU");
    assert!(distance(found.clone(), attention::reference(q, k, v.clone(), 1.0, Some(bias))) < TOLERANCE);
    assert!(distance(found.narrow(2, 69, 1), v.mean_dim(2)) < TOLERANCE);
}

/// So many that a query meets its first one after some of its keys, its last one before others, or one between.
#[test]
fn masked_keys_have_no_part_in_a_long_sequence() {
    let (queries, keys) = (70, 5000);
    let q = x(1, [1, 2, queries, 16]);
    let [k, v] = [2, 3].map(|seed| x(seed, [1, 2, keys, 16]));
    for masked in [MASKED, f32::NEG_INFINITY] {
        for seen in [3000..keys, 0..900, 2345..2346] {
            let bias: Vec<f32> = (0..keys).map(|key| if seen.contains(&key) { 0.0 } else { masked }).collect();
            let bias = Tensor::<4>::from_data(TensorData::new(bias, [1, 1, 1, keys]), &Device::flex());
            let found = cpu::attention::attention(&q, &k, &v, 0.3, Some(&bias), None).expect("plain f32 on the CPU");
            let [k, v] = [&k, &v].map(|x| x.clone().narrow(2, seen.start, seen.len()));
            let error = distance(found, attention::reference(q.clone(), k, v, 0.3, None));
            assert!(error < TOLERANCE, "{masked}, {seen:?}: {error}");
        }
    }
}

#[test]
fn queries_are_normed_and_turned_as_by_their_reference() {
    for (seed, [batch, count, heads, width]) in (0..).step_by(10).zip(TOKENS) {
        // Far from zero, where a variance about anything but the mean would be lost.
        let input = x(seed, [batch, count, heads * width]) + 30.0;
        for (has_norm, tables, rest) in [(true, 1, 3), (false, 1, 0), (true, batch, 2)] {
            for pairing in [Pairing::Adjacent, Pairing::Halves] {
                let [cos, sin] = [1, 2].map(|number| x(seed + number, [tables, 1, count + rest, width]));
                let [weight, bias] = [3, 4].map(|number| x(seed + number, [heads * width]));
                let norm = has_norm.then_some(qk_norm_rope::Norm { weight, bias, epsilon: 1e-5 });
                let rotation = Rotation::new(cos, sin, pairing);
                let found = cpu::qk_norm_rope::qk_norm_rope(&input, heads, norm.as_ref(), &rotation);
                let expected = qk_norm_rope::reference(input.clone(), heads, norm, &rotation);
                let error = distance(found.expect("plain f32 on the CPU"), expected);
                assert!(error < TOLERANCE, "{batch}x{count}x{heads}x{width}, {pairing:?}, {tables} tables: {error}");
            }
        }
    }
}

#[test]
fn tokens_are_normed_and_modulated_as_by_their_reference() {
    for (seed, [batch, count, heads, width]) in (0..).step_by(10).zip(TOKENS) {
        let width = heads * width + 1;
        // Every other token of a longer sequence.
        let input = (x(seed, [batch, 2 * count, width]) + 1.0).narrow(1, count, count);
        for (has_weight, offset, parts) in [
            (true, 0.0, Some((4, Some(3)))),
            (true, 1.0, None),
            (false, 0.0, Some((0, Some(5)))),
            (false, 0.0, Some((1, None))),
        ] {
            let weight = has_weight.then(|| x(seed + 1, [width]));
            let norm = rms_norm_modulate::Norm { weight, offset, epsilon: 1e-5 };
            let parts = parts.map(|(scale, shift)| Adaptation { parts: x(seed + 2, [batch, 6, width]), scale, shift });
            let found = cpu::rms_norm_modulate::rms_norm_modulate(&input, &norm, parts.as_ref());
            let expected = rms_norm_modulate::reference(input.clone(), norm, parts);
            let error = distance(found.expect("plain f32 on the CPU"), expected);
            assert!(error < TOLERANCE, "{batch}x{count}x{width}, weight {has_weight} plus {offset}: {error}");
        }
    }
}

/// Gradients go through the references, and come out as theirs.
#[test]
fn training_and_other_types_keep_the_references() {
    let inputs = |device: &Device| [[9, 12], [7, 12], [9, 7]].map(|shape| normal(shape[0] as u64, shape, device));
    let [input, w, other] = inputs(&Device::flex().autodiff()).map(Tensor::require_grad);
    assert!(cpu::linear::dense_linear(&input, &w, None, &End::Plain).is_none());
    let gradients = dense_linear(input.clone(), w.clone(), None, End::Gated(other.clone())).sum().backward();
    let of_input = input.grad(&gradients).expect("a gradient");
    // d/dx Σ silu(other) · (x Wᵀ) = silu(other) W.
    let [_, w, other] = inputs(&Device::flex());
    let expected = burn::tensor::activation::silu(other).matmul(w);
    assert!(distance(of_input, expected) < TOLERANCE);

    let [input, w, _] = inputs(&Device::flex()).map(|x| x.cast(DType::F64));
    assert!(cpu::linear::dense_linear(&input, &w, None, &End::Plain).is_none());
    let found = dense_linear(input.clone(), w.clone(), None, End::Plain).cast(DType::F32);
    assert!(distance(found, input.matmul(w.transpose()).cast(DType::F32)) < TOLERANCE);
}

/// The kernels themselves go this way on the CPU: not one of their numbers differs from the loops'.
#[test]
fn the_kernels_take_the_loops() {
    let same = |found: Tensor<3>, expected: Option<Tensor<3>>| {
        let difference = (found - expected.expect("plain f32 on the CPU")).abs().max().into_scalar::<f32>();
        assert_eq!(difference, 0.0);
    };
    let tokens: Tensor<3> = x(1, [2, 33, 40]);
    let norm = rms_norm_modulate::Norm { weight: None, offset: 0.0, epsilon: 1e-5 };
    same(
        rms_norm_modulate(tokens.clone(), norm.clone(), None),
        cpu::rms_norm_modulate::rms_norm_modulate(&tokens, &norm, None),
    );
    let [cos, sin] = [2, 3].map(|seed| x(seed, [1, 1, 33, 10]));
    let rotation = Rotation::new(cos, sin, Pairing::Adjacent);
    let heads = cpu::qk_norm_rope::qk_norm_rope(&tokens, 4, None, &rotation).expect("plain f32 on the CPU");
    same(merge_heads(qk_norm_rope(tokens, 4, None, &rotation)), Some(merge_heads(heads.clone())));
    let [q, k, v] = [(); 3].map(|()| heads.clone());
    let found = cpu::attention::attention(&q, &k, &v, 0.3, None, None).map(merge_heads);
    same(merge_heads(attention(q, k, v, 0.3, None)), found);
    let [input, w] = [x(4, [50, 30]), x(5, [20, 30])];
    let found = cpu::linear::dense_linear(&input, &w, None, &End::Plain).map(|y| y.unsqueeze::<3>());
    same(dense_linear(input, w, None, End::Plain).unsqueeze::<3>(), found);
}
