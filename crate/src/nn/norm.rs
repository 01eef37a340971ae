//! Normalisations.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{
    kernels::{layer_norm, qk_norm_rope, rms_norm_modulate, rms_norm_modulate::Adaptation},
    weights::params::{Init, Params},
};

/// `x / √(mean(x²) + ε) · w` over the last axis (LLaMA's RMSNorm; `lumina_t2i/models/components.py`).
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// w, `[D]`; absent: 1.
    pub weight: Option<Param<Tensor<1>>>,
    /// Whether x is multiplied by 1 + w instead (Gemma).
    is_offset: bool,
    epsilon: f64,
}

impl RmsNorm {
    /// Over `width` features.
    pub fn new(width: usize, epsilon: f64, params: &Params) -> Self {
        Self { weight: Some(params.tensor("weight", [width], Init::Ones)), is_offset: false, epsilon }
    }

    /// Over `width` features, with 1 + w in place of w.
    pub fn offset(width: usize, epsilon: f64, params: &Params) -> Self {
        Self { weight: Some(params.tensor("weight", [width], Init::Zeros)), is_offset: true, epsilon }
    }

    /// Without parameters.
    pub fn plain(epsilon: f64) -> Self {
        Self { weight: None, is_offset: false, epsilon }
    }

    /// `[B, N, D]` to `[B, N, D]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        rms_norm_modulate(x, self.parameters(), None)
    }

    /// [`Self::forward`], then times 1 + scale, plus the shift: `[B, N, D]` to `[B, N, D]`.
    pub fn modulated(&self, x: Tensor<3>, adaptation: Adaptation) -> Tensor<3> {
        rms_norm_modulate(x, self.parameters(), Some(adaptation))
    }

    fn parameters(&self) -> rms_norm_modulate::Norm {
        rms_norm_modulate::Norm {
            weight: self.weight.as_ref().map(Param::val),
            offset: if self.is_offset { 1.0 } else { 0.0 },
            epsilon: self.epsilon,
        }
    }
}

/// `(x − mean) / √(var + ε) · w + b` over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// w, `[D]`.
    pub weight: Param<Tensor<1>>,
    /// b, `[D]`.
    pub bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// Over `width` features.
    pub fn new(width: usize, epsilon: f64, params: &Params) -> Self {
        Self {
            weight: params.tensor("weight", [width], Init::Ones),
            bias: params.tensor("bias", [width], Init::Zeros),
            epsilon,
        }
    }

    /// `[.., D]` to `[.., D]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon)
    }

    /// For [`qk_norm_rope`].
    pub fn parameters(&self) -> qk_norm_rope::Norm {
        qk_norm_rope::Norm { weight: self.weight.val(), bias: self.bias.val(), epsilon: self.epsilon }
    }
}

/// Normalises each of `groups` groups of channels over its channels and its area (PyTorch's GroupNorm).
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// `[C]`.
    pub weight: Param<Tensor<1>>,
    /// `[C]`.
    pub bias: Param<Tensor<1>>,
    groups: usize,
    epsilon: f64,
}

impl GroupNorm {
    /// Over `channels` in `groups` (a divisor of `channels`).
    pub fn new(channels: usize, groups: usize, epsilon: f64, params: &Params) -> Self {
        Self {
            weight: params.tensor("weight", [channels], Init::Ones),
            bias: params.tensor("bias", [channels], Init::Zeros),
            groups,
            epsilon,
        }
    }

    /// `[B, C, H, W]` to `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let moments = self.moments_by(x.clone(), |x| x); // [B, groups]
        self.forward_by(x, &moments)
    }

    /// `[B, C, H, W]` to `[B, groups, C/groups·H, W]`, whose means are taken row by row: a single sum of millions of numbers
    /// would lose digits, and on a GPU one invocation would add them up.
    fn grouped(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, self.groups, channels / self.groups * height, width]) // [B, groups, C/groups·H, W]
    }

    /// The statistics by which [`Self::forward`] would normalise x `[B, C, H, W]`, were its batch one picture.
    pub fn moments(&self, x: Tensor<4>) -> Moments {
        self.moments_by(x, |means| means.mean_dim(0)) // [1, groups]
    }

    /// Mean and variance, `together` what becomes of means `[B, groups, 1, 1]` of the pictures of a batch.
    fn moments_by(&self, x: Tensor<4>, together: fn(Tensor<4>) -> Tensor<4>) -> Moments {
        let grouped = self.grouped(x);
        let mean = |x: Tensor<4>| together(x.mean_dim(3).mean_dim(2));
        let average = mean(grouped.clone());
        let variance = mean((grouped - average.clone()).square());
        let groups = |x: Tensor<4>| x.squeeze_dims(&[2, 3]); // [1 or B, groups]
        Moments { mean: groups(average), variance: groups(variance) }
    }

    /// [`Self::forward`] by statistics `[B, groups]`, or `[1, groups]`, that may be another's.
    pub fn forward_by(&self, x: Tensor<4>, moments: &Moments) -> Tensor<4> {
        let channels = x.dims()[1];
        let each = |v: Tensor<2>| {
            let rows = v.dims()[0];
            let each = v.reshape([rows, self.groups, 1]).expand([rows, self.groups, channels / self.groups]);
            each.reshape([rows, channels]) // [1 or B, C]
        };
        let scale = self.weight.val().unsqueeze() * each((moments.variance.clone() + self.epsilon).sqrt().recip());
        let shift = self.bias.val().unsqueeze() - each(moments.mean.clone()) * scale.clone();
        let [scale, shift] = [scale, shift].map(|v| v.unsqueeze_dims(&[2, 3])); // [1 or B, C, 1, 1]
        x * scale + shift
    }
}

/// Mean and variance of the groups of one group norm, each `[B, groups]`, or of several, each `[norms, groups]`.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Of all values of a group.
    pub mean: Tensor<2>,
    /// The mean square of their distances from it.
    pub variance: Tensor<2>,
}

impl Moments {
    /// Of several norms, one after the other.
    pub fn cat(moments: Vec<Self>) -> Self {
        let (mean, variance) = moments.into_iter().map(|Self { mean, variance }| (mean, variance)).unzip();
        Self { mean: Tensor::cat(mean, 0), variance: Tensor::cat(variance, 0) }
    }

    /// Those of norm number `norm`.
    pub fn of(&self, norm: usize) -> Self {
        let row = |x: &Tensor<2>| x.clone().narrow(0, norm, 1); // [1, groups]
        Self { mean: row(&self.mean), variance: row(&self.variance) }
    }
}
