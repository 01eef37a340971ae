//! Layer norm, by plain tensor operations everywhere: no shader of ours has only this to do.

use burn::tensor::{Tensor, module};

use super::{spread, trains_on_gpu};

/// `(x − mean) / √(var + ε) · w + b` over the last axis: x `[B, .., D]`, w and b `[D]`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<D> {
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
