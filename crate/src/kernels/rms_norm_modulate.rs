//! What tokens go through on the way into a layer, in one pass: RMS norm, then the scale and shift of the conditioning.

use burn::tensor::Tensor;

use super::spread;
#[cfg(feature = "gpu")]
use super::{norm_modulate, norm_modulate::Parts};

/// An RMS norm's parameters.
#[derive(Debug, Clone)]
pub struct Norm {
    /// w, `[D]`; absent: x is not multiplied.
    pub weight: Option<Tensor<1>>,
    /// Added to w.
    pub offset: f64,
    /// ε, added to the mean square.
    pub epsilon: f64,
}

/// What the conditioning vector sets.
#[derive(Debug, Clone)]
pub struct Adaptation {
    /// Vectors `[B, P, D]`.
    pub parts: Tensor<3>,
    /// Which of them is the scale.
    pub scale: usize,
    /// Which of them is the shift, if there is one.
    pub shift: Option<usize>,
}

impl Adaptation {
    /// `x · (1 + scale) + shift` by plain tensor operations, `[B, N, D]` to `[B, N, D]`.
    pub fn apply(self, x: Tensor<3>) -> Tensor<3> {
        let Self { parts, scale, shift } = self;
        let x = x * (parts.clone().narrow(1, scale, 1) + 1.0);
        match shift {
            Some(shift) => x + parts.narrow(1, shift, 1),
            None => x,
        }
    }
}

/// `x / √(mean(x²) + ε) · (offset + w) · (1 + scale) + shift` over the last axis: `[B, N, D]` to `[B, N, D]`.
pub fn rms_norm_modulate(x: Tensor<3>, norm: Norm, adaptation: Option<Adaptation>) -> Tensor<3> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) && norm_modulate::takes(&x) {
        let Norm { weight, offset, epsilon } = norm;
        let norm = norm_modulate::Norm { is_centred: false, weight, offset, epsilon };
        return norm_modulate::launch(x, norm, adaptation.map(Parts::adaptive));
    }
    #[cfg(feature = "cpu")]
    if let Some(y) = super::cpu::rms_norm_modulate::rms_norm_modulate(&x, &norm, adaptation.as_ref()) {
        return y;
    }
    reference(x, norm, adaptation)
}

/// [`rms_norm_modulate`] by plain tensor operations.
pub fn reference(x: Tensor<3>, norm: Norm, adaptation: Option<Adaptation>) -> Tensor<3> {
    let mean_square = (x.clone() * x.clone()).mean_dim(2); // [B, N, 1]
    let x = x * (mean_square + norm.epsilon).sqrt().recip();
    let rows = x.dims()[0];
    let x = match norm.weight {
        Some(weight) if norm.offset == 0.0 => x * spread(weight, rows).unsqueeze_dim(1),
        Some(weight) => x * spread(weight + norm.offset, rows).unsqueeze_dim(1),
        None => x,
    };
    match adaptation {
        Some(adaptation) => adaptation.apply(x),
        None => x,
    }
}
