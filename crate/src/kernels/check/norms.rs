//! What norms tokens, compared.

use burn::tensor::{Device, Tensor};

use super::{
    super::{
        layer_norm,
        qk_norm_rope::{self, Pairing, Rotation},
        rms_norm_modulate::{self, Adaptation},
    },
    Comparison,
    numbers::{distance, numbers, poison, tensor},
    plain,
};
use crate::error::Result;

/// ε of the norms.
const EPSILON: f64 = 1e-5;

/// Before attention, before a layer, and alone.
pub async fn compare_norms(device: &Device, shape: [usize; 3], seed: u64) -> Result<Vec<Comparison>> {
    let tokens = Tokens { device, shape, dim: shape[1] * shape[2], seed };
    Ok(vec![tokens.compare_rope().await?, tokens.compare_modulation().await?, tokens.compare_layer_norm().await?])
}

/// x `[2, tokens, D]`, of `shape` tokens, heads and their width.
struct Tokens<'a> {
    device: &'a Device,
    shape: [usize; 3],
    dim: usize,
    seed: u64,
}

impl Tokens<'_> {
    async fn compare_rope(&self) -> Result<Comparison> {
        let [tokens, heads, width] = self.shape;
        let [cos, sin] = [1, 2].map(|number| numbers(8 * self.seed + number, tokens * width));
        let expected = plain::turned(&self.layer_normed(3, 4), self.shape, [&cos, &sin]);
        let [cos, sin] = [1, 2].map(|number| tensor(8 * self.seed + number, [1, 1, tokens, width], self.device));
        let rotation = Rotation::new(cos, sin, Pairing::Adjacent);
        let norm = qk_norm_rope::Norm { weight: self.vector(3), bias: self.vector(4), epsilon: EPSILON };
        let x = self.x();
        poison([2, tokens, self.dim], self.device);
        let error = distance(qk_norm_rope::qk_norm_rope(x, heads, Some(norm), &rotation), &expected).await?;
        Ok(Comparison::new(format!("norm and rotation of {tokens} tokens of {heads}x{width}"), error))
    }

    async fn compare_modulation(&self) -> Result<Comparison> {
        let ([tokens, ..], dim) = (self.shape, self.dim);
        let (weight, parts) = (self.plain_vector(3), numbers(8 * self.seed + 5, 2 * 6 * dim));
        let modulated = |(i, x): (usize, f64)| {
            let part = |number: usize| f64::from(parts[(i / dim / tokens * 6 + number) * dim + i % dim]);
            x * f64::from(weight[i % dim]) * (1.0 + part(4)) + part(3)
        };
        let normed = plain::normed(&self.plain_x(), dim, false, EPSILON);
        let expected: Vec<f64> = normed.into_iter().enumerate().map(modulated).collect();
        let norm = rms_norm_modulate::Norm { weight: Some(self.vector(3)), offset: 0.0, epsilon: EPSILON };
        let parts = tensor(8 * self.seed + 5, [2, 6, dim], self.device);
        let (x, adaptation) = (self.x(), Adaptation { parts, scale: 4, shift: Some(3) });
        poison([2, tokens, dim], self.device);
        let found = rms_norm_modulate::rms_norm_modulate(x, norm, Some(adaptation));
        let error = distance(found, &expected).await?;
        Ok(Comparison::new(format!("norm and modulation of {tokens} tokens of {dim}"), error))
    }

    async fn compare_layer_norm(&self) -> Result<Comparison> {
        let ([tokens, ..], dim) = (self.shape, self.dim);
        let expected = self.layer_normed(6, 7);
        let (x, weight, bias) = (self.x(), self.vector(6), self.vector(7));
        poison([2, tokens, dim], self.device);
        let error = distance(layer_norm::layer_norm(x, weight, bias, EPSILON), &expected).await?;
        Ok(Comparison::new(format!("layer norm of {tokens} tokens of {dim}"), error))
    }

    fn x(&self) -> Tensor<3> {
        tensor(8 * self.seed, [2, self.shape[0], self.dim], self.device)
    }

    fn plain_x(&self) -> Vec<f32> {
        numbers(8 * self.seed, 2 * self.shape[0] * self.dim)
    }

    /// Parameters `[D]`.
    fn vector(&self, number: u64) -> Tensor<1> {
        tensor(8 * self.seed + number, [self.dim], self.device)
    }

    fn plain_vector(&self, number: u64) -> Vec<f32> {
        numbers(8 * self.seed + number, self.dim)
    }

    /// The layer norm of x by these vectors, its weight and its bias.
    fn layer_normed(&self, weight: u64, bias: u64) -> Vec<f64> {
        let [weight, bias] = [weight, bias].map(|number| self.plain_vector(number));
        let ended = |(i, x): (usize, f64)| x * f64::from(weight[i % self.dim]) + f64::from(bias[i % self.dim]);
        plain::normed(&self.plain_x(), self.dim, true, EPSILON).into_iter().enumerate().map(ended).collect()
    }
}
