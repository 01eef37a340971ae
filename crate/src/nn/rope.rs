//! Rotary position embedding.

use burn::tensor::{Device, Tensor, TensorData};

/// Which two features of a head are turned together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Features 2j and 2j + 1 (complex multiplication; Lumina).
    Adjacent,
    /// Features j and j + d/2 (`rotate_half`; LLaMA in transformers).
    Halves,
}

/// Cosines and sines for the positions of one sequence.
#[derive(Debug, Clone)]
pub struct Rope {
    cos: Tensor<4>,
    sin: Tensor<4>,
    /// `[1, 1, d, d]`: the signed permutation that takes (a, b) to (−b, a) in every pair. As a product of matrices
    /// it is exact (every sum has one term) and cheap both ways, which slices and concatenations are not.
    turn: Tensor<4>,
}

impl Rope {
    /// Positions 0 … `tokens` − 1, each divided by `scale`, for heads of (even) width `head_dim`:
    /// θ_j = base^(−2j/d), `precompute_freqs_cis` in `lumina_t2i/models/model.py`.
    pub fn new(tokens: usize, head_dim: usize, base: f64, scale: f64, pairing: Pairing, device: &Device) -> Self {
        let half = head_dim / 2;
        let frequencies: Vec<f64> = (0..half).map(|j| base.powf(-2.0 * j as f64 / head_dim as f64)).collect();
        let pair_of = |feature: usize| match pairing {
            Pairing::Adjacent => feature / 2,
            Pairing::Halves => feature % half,
        };
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = (0..tokens)
                .flat_map(|p| (0..head_dim).map(move |feature| (p, feature)))
                .map(|(p, feature)| f(p as f64 / scale * frequencies[pair_of(feature)]) as f32)
                .collect();
            Tensor::from_data(TensorData::new(values, [1, 1, tokens, head_dim]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin), turn: turn(head_dim, pairing, device) }
    }

    /// `[B, H, N, d]` to `[B, H, N, d]`, for the first N positions of the table.
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let tokens = x.dims()[2];
        let [cos, sin] = [&self.cos, &self.sin].map(|t| t.clone().narrow(2, 0, tokens)); // [1, 1, N, d]
        let [batch, heads, _, width] = x.dims();
        let turned = x.clone().reshape([1, 1, batch * heads * tokens, width]).matmul(self.turn.clone()); // [1, 1, B·H·N, d]
        x * cos + turned.reshape([batch, heads, tokens, width]) * sin
    }

    /// The cosines and sines, each `[1, 1, N, d]`.
    pub fn tables(&self) -> (Tensor<4>, Tensor<4>) {
        (self.cos.clone(), self.sin.clone())
    }
}

fn turn(width: usize, pairing: Pairing, device: &Device) -> Tensor<4> {
    let mut matrix = vec![0.0f32; width * width];
    for j in 0..width / 2 {
        let (a, b) = match pairing {
            Pairing::Adjacent => (2 * j, 2 * j + 1),
            Pairing::Halves => (j, j + width / 2),
        };
        matrix[b * width + a] = -1.0; // new a takes −b
        matrix[a * width + b] = 1.0; // new b takes a
    }
    Tensor::from_data(TensorData::new(matrix, [1, 1, width, width]), device)
}
