//! The few numbers that come back from the device while sampling.

use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// Reads single-element tensors in one transfer.
pub(super) async fn read_scalars<const N: usize>(scalars: [Tensor<1>; N]) -> Result<[f64; N]> {
    let data = Tensor::cat(scalars.to_vec(), 0).into_data_async().await;
    let data = data.map_err(|error| Error::device_lost("the sampler's numbers", error))?;
    let mut values = data.iter::<f64>();
    Ok(std::array::from_fn(|_| values.next().unwrap_or(f64::NAN)))
}

/// Mean of |x|: finite exactly when every element is (sums, unlike maxima, carry NaN along on every backend).
pub(super) fn magnitude<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    x.abs().mean()
}

/// Fails unless every element of `x`, the state at time `t`, is a finite number. Waits for the device.
///
/// The fixed-step solvers never wait for it; a pipeline asks this after every step, which also keeps the device from
/// running ahead of a caller who may stop.
///
/// # Shapes
/// - x: any
///
/// # Errors
/// `bad-model` where an element is infinite or not a number, `device-lost` where the device does not answer.
pub async fn ensure_finite<const D: usize>(x: Tensor<D>, t: f64) -> Result<()> {
    let [mean] = read_scalars([magnitude(x)]).await?;
    if mean.is_finite() { Ok(()) } else { Err(not_finite("state", t)) }
}

/// The error for a `what` (state, velocity) with infinite elements or elements that are not numbers.
pub(super) fn not_finite(what: &str, t: f64) -> Error {
    Error::bad_model(format!("{what} of the sampler at t = {t:.4}"))
        .expected("finite numbers")
        .found("infinite ones or NaN")
        .remedy("the weights may be damaged, or the guidance scale far too high")
}
