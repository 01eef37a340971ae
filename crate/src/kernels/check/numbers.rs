//! Numbers to compare kernels by, and how far they are apart.

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Result};

/// Leaves freed memory full of NaN where the next tensor of this shape will lie.
pub fn poison<const D: usize>(shape: [usize; D], device: &Device) {
    drop(Tensor::<D>::full(shape, f32::NAN, device));
}

/// ‖found − expected‖ / ‖expected‖.
pub async fn distance<const D: usize>(found: Tensor<D>, expected: &[f64]) -> Result<f64> {
    let found = found.into_data_async().await.map_err(|error| Error::device_lost("the numbers of a test", error))?;
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter::<f64>().zip(expected).map(|(found, expected)| found - expected));
    Ok(difference / norm(&mut expected.iter().copied()))
}

/// [`numbers`] as a tensor.
pub fn tensor<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(seed, shape.iter().product()), shape), device)
}

/// Numbers between −1 and 1 without a pattern, the same everywhere (the finaliser of splitmix64).
pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
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
