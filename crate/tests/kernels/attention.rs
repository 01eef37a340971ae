//! Attention that never holds all scores.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use flagdit::kernels::attention::{
    Tile, add_attention, added, attention, attention_to_parts, launches, reference, tiled,
};
use flagdit::nn::attention::{MASKED, causal_bias, mask_bias, merge_heads, split_heads};

use super::{devices, distance, normal};

/// ‖found − expected‖ / ‖expected‖ of averages of up to a few hundred values, summed in another order.
const AVERAGE: f64 = 1e-5;
/// Likewise of 131 072 values, whose weights' sum has as many terms.
const LONG_AVERAGE: f64 = 1e-4;
/// Batch, query heads, key heads, queries, keys, width of a head: below, at and beyond tiles of 8 and 32; every number of
/// columns for each lane, keys in one part and in two, even and uneven.
const SHAPES: [[usize; 6]; 17] = [
    [1, 1, 1, 1, 1, 4],
    [2, 3, 3, 7, 5, 12],
    [2, 6, 6, 72, 72, 32],
    [2, 6, 6, 72, 19, 32],
    [1, 4, 2, 33, 31, 24],
    [3, 4, 1, 31, 65, 16],
    [1, 2, 2, 64, 32, 36],
    [2, 2, 1, 40, 100, 48],
    [1, 3, 3, 130, 129, 64],
    [1, 2, 2, 20, 33, 72],
    [1, 2, 1, 34, 21, 76],
    [2, 1, 1, 5, 200, 80],
    [1, 6, 2, 65, 34, 96],
    [1, 2, 1, 1, 64, 104],
    [1, 1, 1, 97, 66, 112],
    [2, 2, 2, 32, 40, 120],
    [1, 8, 4, 50, 63, 128],
];

struct Case {
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    scale: f64,
}

fn case([batch, heads, kv_heads, queries, keys, width]: [usize; 6], seed: u64, device: &Device) -> Case {
    Case {
        q: normal(seed, [batch, heads, queries, width], device),
        k: normal(seed + 1, [batch, kv_heads, keys, width], device),
        v: normal(seed + 2, [batch, kv_heads, keys, width], device),
        scale: 1.5 * (width as f64).powf(-0.5),
    }
}

/// A mask that leaves at least one key of every row.
fn padding(batch: usize, keys: usize, device: &Device) -> Tensor<4> {
    let rows = (0..batch).map(|row| {
        let count = 1 + (keys - 1) * (row + 1) / (batch + 1);
        let [ones, zeros] = [Tensor::<2>::ones([1, count], device), Tensor::zeros([1, keys - count], device)];
        if count == keys { ones } else { Tensor::cat(vec![ones, zeros], 1) }
    });
    mask_bias(Tensor::cat(rows.collect(), 0))
}

fn run(attend: Attend, case: Case, bias: Option<Tensor<4>>) -> Tensor<4> {
    attend(case.q, case.k, case.v, case.scale, bias)
}

type Attend = fn(Tensor<4>, Tensor<4>, Tensor<4>, f64, Option<Tensor<4>>) -> Tensor<4>;
/// A bias for one of [`SHAPES`].
type Bias = fn([usize; 6], &Device) -> Option<Tensor<4>>;

#[test]
fn the_shader_agrees_with_its_reference() {
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    let biases: [(&str, Bias); 4] = [
        ("no bias", |_, _| None),
        ("padding", |[batch, _, _, _, keys, _], device| Some(padding(batch, keys, device))),
        ("one a query", |[_, _, _, queries, keys, _], device| Some(normal(7, [1, 1, queries, keys], device))),
        ("one a score", |[b, heads, _, queries, keys, _], device| Some(normal(8, [b, heads, queries, keys], device))),
    ];
    for (seed, shape) in (0..).step_by(10).zip(SHAPES) {
        // Each bias with every fourth shape, and padding with all: it is what models have.
        for (number, (name, bias)) in biases.iter().enumerate() {
            if number != 1 && number != seed as usize / 10 % 4 {
                continue;
            }
            let before = launches();
            let found = run(attention, case(shape, seed, &gpu), bias(shape, &gpu));
            assert!(launches() > before, "the shader was not launched");
            let error = distance(found, run(reference, case(shape, seed, &cpu), bias(shape, &cpu)));
            assert!(error < AVERAGE, "{shape:?}, {name}: {error}");
        }
    }
}

/// What a device cannot bind at once: parts of any length, one key alone too.
#[test]
fn keys_that_lie_apart_are_attended_to_together() {
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    for (seed, shape) in (300..).step_by(10).zip(SHAPES.into_iter().filter(|shape| shape[4] > 2)) {
        let expected = run(reference, case(shape, seed, &cpu), None);
        let keys = shape[4];
        for ends in [vec![keys], vec![1, keys], vec![keys / 3, keys - 1, keys]] {
            for (device, is_gpu) in [(&cpu, false), (&gpu, true)] {
                let Case { q, k, v, scale } = case(shape, seed, device);
                let mut first = 0;
                let part = |&end: &usize| {
                    let part = [&k, &v].map(|x| x.clone().narrow(2, first, end - first));
                    first = end;
                    part
                };
                let parts: Vec<_> = ends.iter().map(part).collect();
                let before = launches();
                let error = distance(attention_to_parts(q, &parts, scale), expected.clone());
                assert!(error < AVERAGE, "{shape:?}, keys to {ends:?}: {error}");
                assert!(
                    !is_gpu || launches() - before >= ends.len() as u64,
                    "the shader was not launched for each part"
                );
            }
        }
    }
}

/// Whatever a device would choose, every way to divide the queries gives the same.
#[test]
fn every_tile_agrees_with_the_reference() {
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    for (seed, shape) in (500..).step_by(10).zip([[2, 4, 2, 70, 45, 12], [1, 2, 1, 9, 130, 40], [2, 1, 1, 37, 66, 72]])
    {
        let [batch, heads, _, queries, keys, width] = shape;
        for tile in Tile::ALL.into_iter().filter(|tile| tile.takes(width / 4)) {
            for has_bias in [false, true] {
                let bias = |device: &Device| has_bias.then(|| normal(seed + 9, [batch, heads, queries, keys], device));
                let Case { q, k, v, scale } = case(shape, seed, &gpu);
                let bias_on_gpu = bias(&gpu);
                // The result is likely to be written where this lay.
                drop(Tensor::<4>::full([batch, queries, heads, width], f32::NAN, &gpu));
                let found = tiled(q, k, v, scale, bias_on_gpu, Some(tile));
                let error = distance(found, run(reference, case(shape, seed, &cpu), bias(&cpu)));
                assert!(error < AVERAGE, "{shape:?} {tile:?}, a bias: {has_bias}: {error}");
            }
        }
    }
}

/// Onto what queries saw elsewhere, by a gate for each head: every tile, in one launch.
#[test]
fn every_tile_adds_to_another_result() {
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    for (seed, shape) in (700..).step_by(10).zip([
        [2, 4, 2, 70, 45, 12],
        [1, 2, 1, 9, 130, 40],
        [2, 1, 1, 37, 66, 72],
        [3, 2, 2, 1, 1, 4],
    ]) {
        let [batch, heads, _, queries, keys, width] = shape;
        let onto = |device: &Device| {
            // As attention leaves it: tokens before heads.
            let other = normal(seed + 4, [batch, queries, heads, width], device).swap_dims(1, 2);
            (other, normal::<1>(seed + 5, [heads], device))
        };
        let expected = |bias: Option<Tensor<4>>| {
            let (other, gates) = onto(&cpu);
            other + run(reference, case(shape, seed, &cpu), bias) * gates.reshape([1, heads, 1, 1])
        };
        let masked = expected(Some(padding(batch, keys, &cpu)));
        let bias = padding(batch, keys, &gpu);
        for tile in Tile::ALL.into_iter().filter(|tile| tile.takes(width / 4)) {
            let (Case { q, k, v, scale }, (other, gates)) = (case(shape, seed, &gpu), onto(&gpu));
            let found = added(&other, &gates, [&q, &k, &v], scale, &bias, Some(tile)).expect("few enough keys");
            let error = distance(found, masked.clone());
            assert!(error < AVERAGE, "{shape:?} {tile:?}: {error}");
        }
        for (bias, expected) in [(Some(bias), masked.clone()), (None, expected(None))] {
            let (Case { q, k, v, scale }, (other, gates)) = (case(shape, seed, &gpu), onto(&gpu));
            let (has_bias, before) = (bias.is_some(), launches());
            let error = distance(add_attention(other, gates, [q, k, v], scale, bias), expected);
            assert!(launches() > before, "the shader was not launched");
            assert!(error < AVERAGE, "{shape:?} as chosen, a bias: {has_bias}: {error}");
        }
    }
}

/// More keys than one launch walks along: put together first, then added.
#[test]
fn what_several_launches_make_is_added_too() {
    let (shape, seed) = ([1, 2, 1, 5, 40_000, 8], 800);
    let on = |device: &Device| {
        let Case { q, k, v, scale } = case(shape, seed, device);
        let bias = normal(seed + 9, [1, 1, 1, 40_000], device);
        let other = normal(seed + 4, [1, 2, 5, 8], device);
        add_attention(other, normal(seed + 5, [2], device), [q, k, v], scale, Some(bias))
    };
    let error = distance(on(&devices::software_gpu().0), on(&Device::flex()));
    assert!(error < LONG_AVERAGE, "{error}");
}

/// More keys than a launch of any tile walks along.
#[test]
fn what_several_launches_make_is_put_together() {
    let (shape, seed) = ([1, 2, 1, 9, 40_000, 8], 600);
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    let bias = |device: &Device| Some(normal(seed + 9, [1, 1, 1, 40_000], device));
    let expected = run(reference, case(shape, seed, &cpu), bias(&cpu));
    for tile in Tile::ALL {
        let Case { q, k, v, scale } = case(shape, seed, &gpu);
        let error = distance(tiled(q, k, v, scale, bias(&gpu), Some(tile)), expected.clone());
        assert!(error < LONG_AVERAGE, "{tile:?}: {error}");
    }
}

#[test]
fn a_long_sequence_is_read_tile_by_tile() {
    let keys = 131_072;
    let long = |attend: Attend, device: &Device| {
        let bias = normal(9, [1, 1, 1, keys], device);
        run(attend, case([1, 1, 1, 512, keys, 32], 5, device), Some(bias))
    };
    let start = Instant::now();
    let found = long(attention, &devices::software_gpu().0).into_data();
    let on_gpu = start.elapsed();
    let expected = long(reference, &Device::flex());
    let error = distance(Tensor::from_data(found, &Device::flex()), expected);
    println!("512 queries, 131072 keys: {on_gpu:.1?}, the reference {:.1?}, {error:.1e} off", start.elapsed() - on_gpu);
    assert!(error < LONG_AVERAGE, "{error}");
}

/// Heads as the networks have them, side by side in a token, are read and written where they are.
#[test]
fn the_shader_reads_views() {
    let (heads, width) = (4, 24);
    let on = |attend: Attend, device: &Device| {
        let [q, k, v] = [1, 2, 3].map(|seed| split_heads(normal(seed, [2, 45, heads * width], device), heads));
        // Every other row of a wider tensor, and features that do not lie side by side.
        let k = Tensor::cat(vec![k.clone(), k], 3).narrow(3, width / 2, width);
        let v = v.swap_dims(2, 3) * 1.0;
        merge_heads(attend(q, k, v.swap_dims(2, 3), 0.3, None))
    };
    let error = distance(on(attention, &devices::software_gpu().0), on(reference, &Device::flex()));
    assert!(error < AVERAGE, "{error}");
}

/// The first tile of keys is masked for most rows, and one row has no key at all: it gets the average of all values.
#[test]
fn masked_keys_have_no_part() {
    let shape = [1, 2, 2, 70, 70, 32];
    let bias = |device: &Device| {
        let causal = causal_bias(70, device);
        let none = Tensor::full([1, 1, 1, 70], MASKED, device);
        Tensor::cat(vec![causal.narrow(2, 0, 69).flip([3]), none], 2) // [1, 1, N, N]
    };
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    let found = run(attention, case(shape, 3, &gpu), Some(bias(&gpu)));
    let error = distance(found, run(reference, case(shape, 3, &cpu), Some(bias(&cpu))));
    assert!(error < AVERAGE, "{error}");
}

#[test]
fn what_the_shader_does_not_take_goes_another_way() {
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    for shape in [[1, 2, 1, 9, 11, 6], [1, 1, 1, 20, 33, 66], [1, 1, 1, 8, 40, 512]] {
        let error = distance(run(attention, case(shape, 2, &gpu), None), run(reference, case(shape, 2, &cpu), None));
        assert!(error < AVERAGE, "{shape:?}: {error}");
    }
}

/// More scores than the reference holds at once: the same as one head at a time, which are few enough.
#[test]
fn the_reference_in_parts_is_the_reference() {
    let (heads, tokens, width) = (4, 2100, 8);
    let device = Device::flex();
    let Case { q, k, v, scale } = case([1, heads, heads, tokens, tokens, width], 1, &device);
    let bias = causal_bias(tokens, &device);
    let head = |head: usize| {
        let [q, k, v] = [&q, &k, &v].map(|x| x.clone().narrow(1, head, 1));
        reference(q, k, v, scale, Some(bias.clone()))
    };
    let expected = Tensor::cat((0..heads).map(head).collect(), 1);
    let error = distance(reference(q, k, v, scale, Some(bias)), expected);
    assert!(error < AVERAGE, "{error}");
}

/// Head j of the queries reads head j / (H / Hkv) of keys and values.
#[test]
fn heads_share_keys_in_order() {
    let device = Device::flex();
    let Case { q, k, v, scale } = case([2, 6, 2, 5, 9, 8], 4, &device);
    let repeated = |x: &Tensor<4>| {
        let heads = (0..6).map(|head: usize| x.clone().narrow(1, head / 3, 1));
        Tensor::cat(heads.collect(), 1)
    };
    let expected = reference(q.clone(), repeated(&k), repeated(&v), scale, None);
    assert!(distance(reference(q, k, v, scale, None), expected) < AVERAGE);
}
