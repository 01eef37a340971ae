//! Time, and caption or label, to the conditioning vector `[B, E]`.

use burn::{
    module::{Module, Param},
    tensor::{Int, Tensor, TensorData, activation::silu},
};

use crate::{
    nn::{linear::Linear, norm::LayerNorm},
    weights::params::{Init, Params},
};

/// Width of the sinusoidal features of t.
const FREQUENCIES: usize = 256;

/// Sinusoidal features of t, then two linear layers (`TimestepEmbedder`).
#[derive(Module, Debug)]
pub struct TimestepEmbedder {
    /// 256 to E.
    pub linear_1: Linear,
    /// E to E.
    pub linear_2: Linear,
}

impl TimestepEmbedder {
    /// To vectors of width `width`. Training from nothing starts with the variance kept: upstream's 0.02 suits a width
    /// of thousands, and leaves a narrow model with a conditioning vector of a few hundredths.
    pub fn new(width: usize, params: &Params) -> Self {
        Self {
            linear_1: Linear::new(FREQUENCIES, width, Init::Lecun, &params.child("linear_1")),
            linear_2: Linear::new(width, width, Init::Lecun, &params.child("linear_2")),
        }
    }

    /// t `[B]`, raw in [0, 1], to `[B, E]`.
    pub fn forward(&self, t: Tensor<1>) -> Tensor<2> {
        let half = FREQUENCIES / 2;
        let frequencies: Vec<f32> =
            (0..half).map(|k| (-(10_000f64.ln()) * k as f64 / half as f64).exp() as f32).collect();
        let frequencies = Tensor::from_data(TensorData::new(frequencies, [1, half]), &t.device());
        let angles = t.unsqueeze_dim::<2>(1) * frequencies; // [B, 128]
        let features = Tensor::cat(vec![angles.clone().cos(), angles.sin()], 1); // [B, 256], cosines first
        self.linear_2.forward(silu(self.linear_1.forward(features)))
    }
}

/// The mean of the caption's features, normalised and projected (`cap_embedder`).
#[derive(Module, Debug)]
pub struct CaptionEmbedder {
    /// Over C.
    pub norm: LayerNorm,
    /// C to E.
    pub linear: Linear,
}

impl CaptionEmbedder {
    /// From features of width `features` to vectors of width `width`.
    pub fn new(features: usize, width: usize, params: &Params) -> Self {
        Self {
            norm: LayerNorm::new(features, 1e-5, &params.child("norm")),
            linear: Linear::new(features, width, Init::Zeros, &params.child("linear")),
        }
    }

    /// Features `[B, T, C]` and mask `[B, T]` (1 a token, 0 padding) to `[B, E]`.
    pub fn forward(&self, features: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        let weight = mask.clone() / mask.sum_dim(1); // [B, T], one for each row together
        let [batch, _, width] = features.dims();
        let mean = weight.unsqueeze_dim::<3>(1).matmul(features).reshape([batch, width]); // [B, C]
        self.linear.forward(self.norm.forward(mean))
    }
}

/// A row a label, and one more for none (`y_embedder`, `LabelEmbedder`).
#[derive(Module, Debug)]
pub struct LabelEmbedder {
    /// `[labels + 1, E]`.
    pub weight: Param<Tensor<2>>,
}

impl LabelEmbedder {
    /// For so many labels, to vectors of width `width`.
    pub fn new(labels: usize, width: usize, params: &Params) -> Self {
        Self { weight: params.tensor("weight", [labels + 1, width], Init::Normal(0.02)) }
    }

    /// Labels `[B]`, the last row's number for none, to `[B, E]`.
    pub fn forward(&self, labels: Tensor<1, Int>) -> Tensor<2> {
        self.weight.val().select(0, labels)
    }
}
