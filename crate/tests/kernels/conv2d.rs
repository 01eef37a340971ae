//! Convolutions.

use burn::tensor::Tensor;
use flagdit::kernels::conv2d::{Window, conv2d, launches, reference};

use super::{devices, distance, normal};

/// ‖found − expected‖ / ‖expected‖ of sums of up to a few hundred f32 products in another order.
const SUMS: f64 = 1e-5;
/// Batch, channels in and out, height and width: below, at and beyond groups of pixels, of channels and workgroups.
const SHAPES: [[usize; 5]; 7] = [
    [1, 1, 1, 3, 3],
    [2, 3, 4, 5, 7],
    [1, 16, 8, 8, 8],
    [3, 5, 9, 9, 17],
    [1, 8, 3, 33, 20],
    [2, 4, 70, 12, 6],
    [1, 2, 12, 70, 65],
];
/// Side of the kernel, and where it is laid: those of the networks, and one with everything.
const WINDOWS: [(usize, Window); 5] = [
    (1, Window { upscale: 1, padding: [0, 0], stride: 1 }),
    (3, Window { upscale: 1, padding: [1, 1], stride: 1 }),
    (3, Window { upscale: 2, padding: [1, 1], stride: 1 }),
    (3, Window { upscale: 1, padding: [0, 1], stride: 2 }),
    (5, Window { upscale: 3, padding: [2, 1], stride: 2 }),
];

#[test]
fn the_shader_agrees_with_its_reference() {
    let device = devices::software_gpu().0;
    for (seed, [batch, inputs, outputs, height, width]) in (0..).step_by(3).zip(SHAPES) {
        for (kernel, window) in WINDOWS {
            let x: Tensor<4> = normal(seed, [batch, inputs, height, width], &device);
            let weight = normal(seed + 1, [outputs, inputs, kernel, kernel], &device);
            let bias = normal(seed + 2, [outputs], &device);
            let before = launches();
            let found = conv2d(x.clone(), weight.clone(), bias.clone(), window);
            assert!(launches() > before, "the shader was not launched");
            let error = distance(found, reference(x, weight, bias, window));
            assert!(
                error < SUMS,
                "{batch}x{inputs}x{height}x{width} to {outputs} by {kernel}x{kernel}, {window:?}: {error}"
            );
        }
    }
}

/// A tensor that is a view of another one must not be read as if it were whole.
#[test]
fn the_shader_reads_transposed_inputs() {
    let device = devices::software_gpu().0;
    let view = normal::<4>(1, [2, 6, 9, 4], &device).permute([0, 3, 2, 1]); // [2, 4, 9, 6]
    let (weight, bias) = (normal(2, [5, 4, 3, 3], &device), normal(3, [5], &device));
    let found = conv2d(view.clone(), weight.clone(), bias.clone(), Window::centred(3));
    assert!(distance(found, reference(view, weight, bias, Window::centred(3))) < SUMS);
}
