//! Time, and caption or label, to the conditioning vector `[B, E]`.

use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
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
    /// Of the features, `[1, 128]`: no parameter, but not to be brought to the device at every evaluation.
    frequencies: Tensor<2>,
}

impl TimestepEmbedder {
    /// To vectors of width `width`. Training from nothing starts with the variance kept: upstream's 0.02 suits a width
    /// of thousands, and leaves a narrow model with a conditioning vector of a few hundredths.
    pub fn new(width: usize, params: &Params) -> Self {
        let half = FREQUENCIES / 2;
        let frequencies: Vec<f32> =
            (0..half).map(|k| (-(10_000f64.ln()) * k as f64 / half as f64).exp() as f32).collect();
        Self {
            linear_1: Linear::new(FREQUENCIES, width, Init::Lecun, &params.child("linear_1")),
            linear_2: Linear::new(width, width, Init::Lecun, &params.child("linear_2")),
            frequencies: Tensor::from_data(TensorData::new(frequencies, [1, half]), params.device()),
        }
    }

    /// t `[B]`, raw in [0, 1], to `[B, E]`.
    pub fn forward(&self, t: Tensor<1>) -> Tensor<2> {
        self.linear_2.forward(self.hidden(t))
    }

    /// The silu of what [`Self::forward`] gives, added to `other`, `[B, E]` or `[1, E]`.
    pub fn activated(&self, t: Tensor<1>, other: Tensor<2>) -> Tensor<2> {
        let ([batch], [_, width]) = (t.dims(), other.dims());
        self.linear_2.activated(self.hidden(t), Some(other.expand([batch, width])))
    }

    fn hidden(&self, t: Tensor<1>) -> Tensor<2> {
        let angles = t.unsqueeze_dim::<2>(1) * self.frequencies.clone(); // [B, 128]
        let features = Tensor::cat(vec![angles.clone().cos(), angles.sin()], 1); // [B, 256], cosines first
        self.linear_1.activated(features, None)
    }
}

/// Waves over a clip whose values tell where in it a frame is: of half a period, of a whole one, ...
const WAVES: usize = 4;

/// What is added to the tokens of a frame: a projection of waves at its phase.
#[derive(Module, Debug)]
pub struct PhaseEmbedder {
    /// 8 to D.
    pub linear: Linear,
}

impl PhaseEmbedder {
    /// To tokens of width `dim`. At first it adds nothing, so a model may get it late.
    pub fn new(dim: usize, params: &Params) -> Self {
        Self { linear: Linear::new(2 * WAVES, dim, Init::Zeros, &params.child("linear")) }
    }

    /// Patches `[B, F·R·C, D]` of `frames` frames F, the first at phase 0, the last at 1; of the same shape.
    pub fn add(&self, patches: Tensor<3>, frames: usize) -> Tensor<3> {
        let [batch, count, dim] = patches.dims();
        let phases = self.of_frames(frames, &patches.device()).reshape([1, frames, 1, dim]); // [1, F, 1, D]
        let patches = patches.reshape([batch, frames, count / frames, dim]); // [B, F, R·C, D]
        (patches + phases).reshape([batch, count, dim]) // [B, F·R·C, D]
    }

    /// What a patch of each of so many frames F gets, `[F, D]`.
    pub fn of_frames(&self, frames: usize, device: &Device) -> Tensor<2> {
        let angle = |i: usize| {
            let (frame, wave) = (i / WAVES, i % WAVES + 1);
            std::f32::consts::PI * wave as f32 * frame as f32 / (frames - 1).max(1) as f32
        };
        let angles: Vec<f32> = (0..frames * WAVES).map(angle).collect();
        let angles = Tensor::<2>::from_data(TensorData::new(angles, [frames, WAVES]), device);
        let features = Tensor::cat(vec![angles.clone().cos(), angles.sin()], 1); // [F, 8], cosines first
        self.linear.forward(features)
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
        let mean = (features * weight.unsqueeze_dim::<3>(2)).sum_dim(1).squeeze_dim(1); // [B, C]
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

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn a_frame_gets_what_belongs_to_its_phase() {
        let (device, dim) = (Device::flex(), 6);
        let params = Params::random(&device);
        let patches = |frames: usize| Tensor::<3>::random([2, frames * 3, dim], Distribution::Default, &device);
        let plain = PhaseEmbedder::new(dim, &params);
        let whole = patches(5);
        plain.add(whole.clone(), 5).into_data().assert_eq(&whole.into_data(), true);

        let embedder = PhaseEmbedder { linear: Linear::new(2 * WAVES, dim, Init::Xavier, &params.child("other")) };
        let added = |frames: usize| {
            let patches = patches(frames);
            let added = embedder.add(patches.clone(), frames) - patches;
            added.reshape([2, frames, 3, dim]) // [B, F, R·C, D]
        };
        let frame = |added: &Tensor<4>, i: usize| added.clone().narrow(1, i, 1);
        let distance = |a: Tensor<4>, b: Tensor<4>| (a - b).abs().max().into_scalar::<f32>();
        let (few, many) = (added(3), added(5));
        // The middle is the middle, however many frames there are.
        assert!(distance(frame(&few, 1), frame(&many, 2)) < 1e-5);
        assert!(distance(frame(&few, 2), frame(&many, 4)) < 1e-5);
        assert!((0..4).all(|i| distance(frame(&many, i), frame(&many, i + 1)) > 0.1));
        // All tokens of a frame get the same.
        assert!(distance(many.clone().narrow(2, 0, 1), many.narrow(2, 2, 1)) < 1e-5);
    }
}
