//! Layer norm, and what follows it where tokens leave a network.

use burn::tensor::{Tensor, module};

#[cfg(feature = "gpu")]
use super::{norm_modulate, norm_modulate::Parts};
use super::{rms_norm_modulate::Adaptation, spread, trains_on_gpu};

/// `(x − mean) / √(var + ε) · w + b` over the last axis: x `[B, .., D]`, w and b `[D]`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<D> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) && norm_modulate::takes(&x) {
        let shape = x.dims();
        let x = x.reshape([1, shape[..D - 1].iter().product(), shape[D - 1]]); // [1, B·.., D]
        let norm = norm_modulate::Norm { is_centred: true, weight: Some(weight), offset: 0.0, epsilon };
        return norm_modulate::launch(x, norm, Some(Parts::bias(bias))).reshape(shape); // [B, .., D]
    }
    layer_norm_reference(x, weight, bias, epsilon)
}

/// [`layer_norm`] by plain tensor operations.
pub fn layer_norm_reference<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    if !trains_on_gpu(&x.device()) {
        return module::layer_norm(x, weight, Some(bias), epsilon);
    }
    let mut shape = [1; D];
    (shape[0], shape[D - 1]) = (x.dims()[0], x.dims()[D - 1]);
    let [weight, bias] = [weight, bias].map(|parameter| spread(parameter, shape[0]).reshape(shape)); // [B, 1, .., D]
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = (centred.clone() * centred.clone()).mean_dim(D - 1);
    centred / (variance + epsilon).sqrt() * weight + bias
}

/// `(x − mean) / √(var + ε) · (1 + scale) + shift` over the last axis: `[B, N, D]` to `[B, N, D]`.
pub fn layer_norm_modulate(x: Tensor<3>, epsilon: f64, adaptation: Adaptation) -> Tensor<3> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) && norm_modulate::takes(&x) {
        let norm = norm_modulate::Norm { is_centred: true, weight: None, offset: 0.0, epsilon };
        return norm_modulate::launch(x, norm, Some(Parts::adaptive(adaptation)));
    }
    layer_norm_modulate_reference(x, epsilon, adaptation)
}

/// [`layer_norm_modulate`] by plain tensor operations.
pub fn layer_norm_modulate_reference(x: Tensor<3>, epsilon: f64, adaptation: Adaptation) -> Tensor<3> {
    let ones = Tensor::ones([x.dims()[2]], &x.device());
    adaptation.apply(module::layer_norm(x, ones, None, epsilon))
}
