//! Our own shaders, and loops for the processor, against their plain-tensor references, over random ragged shapes, and the networks that use them.

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::sampler::noise;

#[path = "kernels/attention.rs"]
mod attention;
#[path = "kernels/codes.rs"]
mod codes;
#[path = "kernels/conv2d.rs"]
mod conv2d;
#[path = "kernels/cpu.rs"]
mod cpu;
#[path = "support/devices.rs"]
mod devices;
#[path = "kernels/linear.rs"]
mod linear;
#[path = "kernels/norms.rs"]
mod norms;

/// Normal numbers that depend on `seed` alone.
fn normal<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise::normal(seed, 0, shape.iter().product()), shape), device)
}

/// ‖found − expected‖ / ‖expected‖, wherever the two are.
fn distance<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f64 {
    let [found, expected] = [found, expected].map(|x| Tensor::<D>::from_data(x.into_data(), &Device::flex()));
    let norm = |x: Tensor<D>| f64::from(x.powf_scalar(2.0).sum().into_scalar::<f32>()).sqrt();
    let scale = norm(expected.clone());
    assert!(scale > 0.0, "a test on zeros");
    norm(found - expected) / scale
}
