//! Classifier-free guidance: away from what the model would draw without the prompt.

use burn::tensor::Tensor;

/// Which latent channels are guided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuidedChannels {
    /// Every channel (Lumina's audio models).
    All,
    /// The first n; the others are the conditional prediction as it is. Lumina's image models guide 3 of 4.
    First(usize),
}

/// `unconditional + scale·(conditional − unconditional)` on the guided channels (Ho and Salimans, 2022).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    /// 1 = the conditional prediction unchanged, 0 = the unconditional one; 4 is Lumina's default.
    pub scale: f64,
    /// Where it applies.
    pub channels: GuidedChannels,
}

impl Guidance {
    /// Whether the unconditional prediction matters; where not, the second model call can be saved.
    pub fn needs_unconditional(&self) -> bool {
        self.scale != 1.0 && self.channels != GuidedChannels::First(0)
    }

    /// The guided velocity.
    ///
    /// # Shapes
    /// - conditional, unconditional: `[B, C, ...]`, alike
    /// - output: the same
    pub fn combine<const D: usize>(&self, conditional: Tensor<D>, unconditional: Tensor<D>) -> Tensor<D> {
        let channel_count = conditional.dims()[1];
        let guided_count = match self.channels {
            GuidedChannels::All => channel_count,
            GuidedChannels::First(count) => count.min(channel_count),
        };
        if guided_count == 0 {
            return conditional;
        }
        if guided_count == channel_count {
            return self.extrapolate(conditional, unconditional);
        }
        let plain = conditional.clone().narrow(1, guided_count, channel_count - guided_count);
        let guided = self.extrapolate(conditional.narrow(1, 0, guided_count), unconditional.narrow(1, 0, guided_count));
        Tensor::cat(vec![guided, plain], 1) // [B, C, ...]
    }

    fn extrapolate<const D: usize>(&self, conditional: Tensor<D>, unconditional: Tensor<D>) -> Tensor<D> {
        unconditional.clone() + (conditional - unconditional).mul_scalar(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    const DIMS: [usize; 4] = [2, 4, 3, 2];

    fn tensor(values: &[f32], dims: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), dims), &Device::flex())
    }

    fn values(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn three_of_four_channels_are_guided() {
        let conditional = tensor(&[1.0, 2.0, 3.0, 4.0], [1, 4, 1, 1]);
        let unconditional = tensor(&[0.0, 2.0, 4.0, 100.0], [1, 4, 1, 1]);
        let guidance = Guidance { scale: 4.0, channels: GuidedChannels::First(3) };
        assert_eq!(values(guidance.combine(conditional, unconditional)), [4.0, 2.0, 0.0, 4.0]);
    }

    /// The numbers are small multiples of 1/8, so that f32 arithmetic is exact and equality may be asked for.
    #[test]
    fn it_equals_plain_loops() {
        let eighths = |factor: usize| (0..48).map(|i| (i * factor % 37) as f32 / 8.0 - 2.0).collect::<Vec<_>>();
        let (conditional, unconditional) = (eighths(5), eighths(11));
        for (channels, guided_count) in [
            (GuidedChannels::All, 4),
            (GuidedChannels::First(0), 0),
            (GuidedChannels::First(1), 1),
            (GuidedChannels::First(3), 3),
            (GuidedChannels::First(9), 4),
        ] {
            for scale in [0.0, 1.0, 2.5, -1.0] {
                let guidance = Guidance { scale, channels };
                let found = values(guidance.combine(tensor(&conditional, DIMS), tensor(&unconditional, DIMS)));
                for (i, found) in found.into_iter().enumerate() {
                    let (c, u) = (conditional[i], unconditional[i]);
                    let channel = i / (DIMS[2] * DIMS[3]) % DIMS[1];
                    let expected = if channel < guided_count { u + scale as f32 * (c - u) } else { c };
                    assert_eq!(found, expected, "{guidance:?}, element {i}");
                }
            }
        }
    }

    #[test]
    fn a_scale_of_one_needs_one_prediction() {
        let needs = |scale, channels| Guidance { scale, channels }.needs_unconditional();
        assert!(needs(4.0, GuidedChannels::First(3)) && needs(0.0, GuidedChannels::All));
        assert!(!needs(1.0, GuidedChannels::All) && !needs(4.0, GuidedChannels::First(0)));
    }
}
