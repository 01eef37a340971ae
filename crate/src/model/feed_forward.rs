//! SwiGLU.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use crate::{
    kernels::Gates,
    nn::linear::Linear,
    weights::params::{Init, Params},
};

/// The most bytes of hidden values at once: larger tensors than this many adapters cannot bind, and the values of one
/// token need none of another's.
pub const HIDDEN_BYTES: u64 = 64 << 20;

/// `W2 (silu(W1 x) · W3 x)`.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// D to the feed-forward width, through SiLU.
    pub w1: Linear,
    /// Back to D.
    pub w2: Linear,
    /// D to the feed-forward width, the gate's other side.
    pub w3: Linear,
}

impl FeedForward {
    /// Width `dim`, inner width `hidden`.
    pub fn new(dim: usize, hidden: usize, params: &Params) -> Self {
        let linear = |input, output, name| Linear::without_bias(input, output, Init::Xavier, &params.child(name));
        Self { w1: linear(dim, hidden, "w1"), w2: linear(hidden, dim, "w2"), w3: linear(dim, hidden, "w3") }
    }

    /// `[B, N, D]` to `[B, N, D]`, in as many pieces as [`HIDDEN_BYTES`] asks for.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let (rows, most) = (batch * tokens, self.rows_at_once(&x.device()));
        if rows <= most {
            return self.w2.forward(self.hidden(x));
        }
        let x = x.reshape([1, rows, width]); // [1, B·N, D]
        let piece = |start: usize| self.w2.forward(self.hidden(x.clone().narrow(1, start, most.min(rows - start))));
        let pieces = (0..rows).step_by(most).map(piece).collect();
        Tensor::cat(pieces, 1).reshape([batch, tokens, width]) // [B, N, D]
    }

    /// `other + gates · y` for y of x: other `[B, N, D]`.
    pub fn residual(&self, x: Tensor<3>, other: Tensor<3>, gates: Gates) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        if batch * tokens <= self.rows_at_once(&x.device()) {
            return self.w2.residual(self.hidden(x), other, gates);
        }
        other + gates.vectors() * self.forward(x)
    }

    /// Gradients need all hidden values again, so pieces would spare a training nothing.
    fn rows_at_once(&self, device: &Device) -> usize {
        if device.is_autodiff() {
            return usize::MAX;
        }
        (HIDDEN_BYTES as usize / (self.w1.outputs() * size_of::<f32>())).max(1)
    }

    fn hidden(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = self.w1.forward(x.clone());
        self.w3.gated(x, gate)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    /// Products of rows alone: pieces differ from the whole by the order of sums at most.
    const SAME: f32 = 1e-5;

    #[test]
    fn pieces_make_the_whole() {
        let device = Device::flex();
        device.seed(3);
        // Wide enough that 700 tokens take more than the bound, ragged at its end.
        let hidden = HIDDEN_BYTES as usize / size_of::<f32>() / 600;
        let layer = FeedForward::new(8, hidden, &Params::random(&device));
        let x = Tensor::<3>::random([2, 350, 8], Distribution::Normal(0.0, 1.0), &device);
        let (found, whole) = (layer.forward(x.clone()), layer.w2.forward(layer.hidden(x)));
        let scale = whole.clone().abs().max().into_scalar::<f32>();
        assert!(scale > 0.0 && (found - whole).abs().max().into_scalar::<f32>() < SAME * scale);
    }
}
