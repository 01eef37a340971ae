//! Muon (Jordan, 2024): momentum whose singular values are all brought to about one, so that a matrix learns in
//! every direction at once, and not only where gradients are large. Rates are those of AdamW (Liu et al., 2025,
//! arXiv 2502.16982: the step is scaled to AdamW's usual root mean square).

use burn::tensor::Tensor;

/// Decay of the momentum.
const MOMENTUM: f64 = 0.95;
/// The quintic of the Newton-Schulz iteration: steep at zero, and between 0.7 and 1.2 after five rounds.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
const ROUNDS: usize = 5;
/// The usual root mean square of an AdamW step at rate 1.
const RMS: f64 = 0.2;
/// Keeps a gradient of zero a step of zero.
const EPSILON: f64 = 1e-7;
/// Ends of the networks and what conditions them: their rows are looked up or read one by one, which AdamW suits.
const APART: [&str; 5] = ["embed", "final_layer", "modulation", "conv_in", "conv_out"];

/// Whether a parameter is a matrix, or a convolution, inside a network.
pub fn applies(name: &str, shape: &[usize]) -> bool {
    let inner: usize = shape.iter().skip(1).product();
    shape.len() >= 2 && shape[0] > 1 && inner > 1 && !APART.iter().any(|part| name.contains(part))
}

/// The direction of a step at rate 1, and the momentum after it. All are flat, of one matrix or of several of one shape, one
/// behind the other.
pub fn direction(momentum: Tensor<1>, gradient: Tensor<1>, [rows, cols]: [usize; 2]) -> (Tensor<1>, Tensor<1>) {
    let momentum = momentum * MOMENTUM + gradient.clone();
    let ahead = gradient + momentum.clone() * MOMENTUM; // Nesterov's
    let [all] = ahead.dims();
    let matrices = orthogonal(ahead.reshape([all / (rows * cols), rows, cols])); // [P, rows, cols]
    let scale = RMS * (rows.max(cols) as f64).sqrt();
    (matrices.reshape([all]) * scale, momentum) // [all]
}

/// The matrices `[P, rows, cols]` with their singular values near one, by Newton-Schulz.
fn orthogonal(matrices: Tensor<3>) -> Tensor<3> {
    let [_, rows, cols] = matrices.dims();
    if rows > cols {
        return orthogonal(matrices.transpose()).transpose();
    }
    let norm = (matrices.clone() * matrices.clone()).sum_dim(2).sum_dim(1).sqrt() + EPSILON; // [P, 1, 1]
    let mut x = matrices / norm;
    let (a, b, c) = QUINTIC;
    for _ in 0..ROUNDS {
        let gram = x.clone().matmul(x.clone().transpose()); // [P, rows, rows]
        let poly = gram.clone() * b + gram.clone().matmul(gram) * c;
        x = x.clone() * a + poly.matmul(x);
    }
    x
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn singular_values_come_near_one() {
        let device = Device::flex();
        device.seed(3);
        for [rows, cols] in [[12, 40], [40, 12], [16, 16]] {
            let matrices = Tensor::<3>::random([3, rows, cols], Distribution::Normal(0.0, 3.0), &device);
            // The second of a stack, which the others must not touch.
            let second = |matrices: Tensor<3>| matrices.narrow(0, 1, 1).squeeze_dim::<2>(0);
            let (matrix, found) = (second(matrices.clone()), second(orthogonal(matrices)));
            // The polynomial keeps the singular vectors: XᵀO is symmetric and positive.
            let product = matrix.clone().transpose().matmul(found.clone());
            let skew = (product.clone() - product.clone().transpose()).abs().max().into_scalar::<f32>();
            assert!(skew < 1e-2 * product.abs().max().into_scalar::<f32>(), "{skew}");
            // tr(OOᵀ) sums the squares of min(rows, cols) values between 0.6 and 1.3.
            let squares = f64::from(found.powf_scalar(2.0).sum().into_scalar::<f32>()) / rows.min(cols) as f64;
            assert!((0.5..1.5).contains(&squares), "{squares}");
        }
    }

    #[test]
    fn a_step_has_the_root_mean_square_of_adamw() {
        let device = Device::flex();
        device.seed(4);
        let gradient = Tensor::random([24 * 60], Distribution::Normal(0.0, 1e-3), &device);
        let (direction, _) = direction(gradient.zeros_like(), gradient, [24, 60]);
        let rms = direction.powf_scalar(2.0).mean().sqrt().into_scalar::<f32>();
        assert!((f64::from(rms) - RMS).abs() < 0.3 * RMS, "{rms}");
    }

    #[test]
    fn ends_and_vectors_are_left_to_adamw() {
        assert!(applies("denoiser.layers.0.attention.wq.weight", &[8, 8]));
        assert!(applies("decoder.conv.weight", &[8, 4, 3, 3]));
        for (name, shape) in [("layers.0.attention.gate", &[8][..]), ("x_embedder.weight", &[8, 8]), ("n", &[1, 9])] {
            assert!(!applies(name, shape), "{name}");
        }
    }
}
