//! How parameters start when a network is trained from nothing.

use burn::tensor::{Device, Distribution, Tensor};

/// How a parameter starts when a network is trained from nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zeros: gates, modulation, final projections (the block starts as the identity).
    Zeros,
    /// All ones: norm weights.
    Ones,
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform within ±√(6 / (fan in + fan out)), PyTorch's `xavier_uniform_`.
    Xavier,
    /// Uniform within ±√(3 / fan in), which keeps the variance from layer to layer. PyTorch's default for convolutions
    /// is a third of that variance: through ten layers without a norm between them, colours are lost in the noise.
    Lecun,
}

impl Init {
    /// A parameter of this shape.
    pub(super) fn draw<const D: usize>(self, shape: [usize; D], device: &Device) -> Tensor<D> {
        // [out, in, …]: whatever follows the first two axes is a convolution's receptive field.
        let field: usize = shape.iter().skip(2).product();
        let fan_in = (shape.get(1).copied().unwrap_or(1) * field) as f64;
        let fan_out = (shape[0] * field) as f64;
        let uniform = |bound: f64| Tensor::random(shape, Distribution::Uniform(-bound, bound), device);
        match self {
            Self::Zeros => Tensor::zeros(shape, device),
            Self::Ones => Tensor::ones(shape, device),
            Self::Normal(std) => Tensor::random(shape, Distribution::Normal(0.0, std), device),
            Self::Xavier => uniform((6.0 / (fan_in + fan_out)).sqrt()),
            Self::Lecun => uniform((3.0 / fan_in).sqrt()),
        }
    }
}
