//! Norms with what follows them.

use burn::tensor::{Device, Tensor};
use flagdit::kernels::layer_norm::{
    layer_norm, layer_norm_modulate, layer_norm_modulate_reference, layer_norm_reference,
};
use flagdit::kernels::norm_modulate::launches;
use flagdit::kernels::qk_norm_rope::{self, Pairing, Rotation, qk_norm_rope};
use flagdit::kernels::rms_norm_modulate::{self, Adaptation, rms_norm_modulate};

use super::{devices, distance, normal};

/// ‖found − expected‖ / ‖expected‖ after means of up to a few hundred values, summed in another order.
const NORMED: f64 = 1e-5;
/// Batch, tokens, heads, width of a head: below, at and beyond four tokens and sixteen vectors.
const SHAPES: [[usize; 4]; 8] = [
    [1, 1, 1, 4],
    [2, 3, 2, 12],
    [1, 4, 4, 16],
    [2, 72, 6, 32],
    [3, 5, 1, 64],
    [1, 9, 3, 72],
    [2, 13, 5, 48],
    [1, 2, 8, 128],
];

/// Far from zero, where a variance about anything but the mean would be lost.
fn tokens(seed: u64, [batch, count, heads, width]: [usize; 4], device: &Device) -> Tensor<3> {
    normal(seed, [batch, count, heads * width], device) + 30.0
}

#[test]
fn queries_are_normed_and_turned_as_by_their_reference() {
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    for (seed, shape) in (0..).step_by(10).zip(SHAPES) {
        let [batch, count, heads, width] = shape;
        // One table for all, longer than the tokens are, and one for each of a batch.
        for (has_norm, tables, rest) in [(true, 1, 3), (false, 1, 0), (true, batch, 0), (true, batch, 2)] {
            let on = |turn: Turn, device: &Device| {
                let [cos, sin] = [1, 2].map(|number| normal(seed + number, [tables, 1, count + rest, width], device));
                let [weight, bias] = [3, 4].map(|number| normal(seed + number, [heads * width], device));
                let norm = has_norm.then_some(qk_norm_rope::Norm { weight, bias, epsilon: 1e-5 });
                turn(tokens(seed, shape, device), heads, norm, &Rotation::new(cos, sin, Pairing::Adjacent))
            };
            let before = qk_norm_rope::launches();
            let found = on(qk_norm_rope, &gpu);
            assert!(qk_norm_rope::launches() > before, "the shader was not launched");
            let error = distance(found, on(qk_norm_rope::reference, &cpu));
            assert!(error < NORMED, "{shape:?}, norm {has_norm}, {tables} tables: {error}");
        }
    }
}

type Turn = fn(Tensor<3>, usize, Option<qk_norm_rope::Norm>, &Rotation) -> Tensor<4>;

#[test]
fn what_is_turned_by_halves_goes_another_way() {
    let on = |turn: Turn, device: &Device| {
        let [cos, sin] = [1, 2].map(|seed| normal(seed, [1, 1, 9, 16], device));
        turn(tokens(3, [2, 9, 2, 16], device), 2, None, &Rotation::new(cos, sin, Pairing::Halves))
    };
    assert!(
        distance(on(qk_norm_rope, &devices::software_gpu().0), on(qk_norm_rope::reference, &Device::flex())) < NORMED
    );
}

#[test]
fn tokens_are_normed_and_modulated_as_by_their_reference() {
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    for (seed, shape) in (0..).step_by(10).zip(SHAPES) {
        let [batch, _, heads, width] = shape;
        for (has_weight, offset, parts) in [
            (true, 0.0, Some((4, Some(3)))),
            (true, 1.0, None),
            (false, 0.0, Some((1, None))),
            (true, 0.0, Some((0, None))),
            (false, 0.0, Some((0, Some(5)))),
            (false, 0.0, None),
        ] {
            let on = |modulate: Modulate, device: &Device| {
                let weight = has_weight.then(|| normal(seed + 1, [heads * width], device));
                let norm = rms_norm_modulate::Norm { weight, offset, epsilon: 1e-5 };
                let adaptation = parts.map(|(scale, shift)| Adaptation {
                    parts: normal(seed + 2, [batch, 6, heads * width], device),
                    scale,
                    shift,
                });
                modulate(tokens(seed, shape, device), norm, adaptation)
            };
            let before = launches();
            let found = on(rms_norm_modulate, &gpu);
            assert!(launches() > before, "the shader was not launched");
            let error = distance(found, on(rms_norm_modulate::reference, &cpu));
            assert!(error < NORMED, "{shape:?}, weight {has_weight} plus {offset}, {parts:?}: {error}");
        }
    }
}

type Modulate = fn(Tensor<3>, rms_norm_modulate::Norm, Option<Adaptation>) -> Tensor<3>;

type Plain = fn(Tensor<3>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>;
type Modulated = fn(Tensor<3>, f64, Adaptation) -> Tensor<3>;
/// What a layer norm is asked for, on a device.
type Normalize<'a> = &'a dyn Fn(&Device, bool) -> Tensor<3>;

#[test]
fn layer_norms_agree_with_their_reference() {
    let (gpu, cpu) = (devices::software_gpu().0, Device::flex());
    for (seed, shape) in (400..).step_by(10).zip(SHAPES) {
        let [batch, _, heads, width] = shape;
        let dim = heads * width;
        let plain = |device: &Device, is_reference: bool| {
            let [weight, bias] = [1, 2].map(|number| normal(seed + number, [dim], device));
            let norm: Plain = if is_reference { layer_norm_reference } else { layer_norm };
            norm(tokens(seed, shape, device), weight, bias, 1e-5)
        };
        let modulated = |shift: Option<usize>| {
            move |device: &Device, is_reference: bool| {
                let parts = normal(seed + 3, [batch, 2, dim], device);
                let norm: Modulated = if is_reference { layer_norm_modulate_reference } else { layer_norm_modulate };
                norm(tokens(seed, shape, device), 1e-6, Adaptation { parts, scale: 1, shift })
            }
        };
        let (scaled, shifted) = (modulated(None), modulated(Some(0)));
        let cases: [(&str, Normalize<'_>); 3] = [("bias", &plain), ("scale", &scaled), ("scale and shift", &shifted)];
        for (name, norm) in cases {
            let before = launches();
            let found = norm(&gpu, false);
            assert!(launches() > before, "the shader was not launched");
            let error = distance(found, norm(&cpu, true));
            assert!(error < NORMED, "{shape:?}, {name}: {error}");
        }
    }
}

/// A vector a row, as the caption's mean is.
#[test]
fn layer_norms_take_rows_without_a_batch() {
    let on = |device: &Device, norm: fn(Tensor<2>, Tensor<1>, Tensor<1>, f64) -> Tensor<2>| {
        let [weight, bias] = [1, 2].map(|seed| normal(seed, [68], device));
        norm(normal(3, [5, 68], device) + 3.0, weight, bias, 1e-5)
    };
    let expected = on(&Device::flex(), layer_norm_reference);
    assert!(distance(on(&devices::software_gpu().0, layer_norm), expected) < NORMED);
}

/// A width that no vector of four divides.
#[test]
fn what_the_shader_does_not_take_goes_another_way() {
    let on = |modulate: Modulate, device: &Device| {
        let norm = rms_norm_modulate::Norm { weight: Some(normal(1, [6], device)), offset: 0.0, epsilon: 1e-5 };
        modulate(normal(2, [2, 5, 6], device), norm, None)
    };
    let expected = on(rms_norm_modulate::reference, &Device::flex());
    let found = on(rms_norm_modulate, &devices::software_gpu().0);
    assert!(distance(found, expected) < NORMED);
}
