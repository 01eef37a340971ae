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
    /// For tokens at `positions` along A axes, each divided by `scale`, and heads of width d = `head_dim`, a multiple of 2 A.
    /// The axes take turns, pair by pair: pair j turns by the position along axis j mod A times
    /// θ_i = base^(−2 A i / d), i = ⌊j / A⌋. With one axis this is `precompute_freqs_cis` in `lumina_t2i/models/model.py`,
    /// with two (row and column) that in `lumina_next_t2i/models/model.py`, with three the paper's (arXiv 2406.18583 §2.1).
    pub fn new<const A: usize>(
        positions: &[[usize; A]],
        head_dim: usize,
        base: f64,
        scale: f64,
        pairing: Pairing,
        device: &Device,
    ) -> Self {
        let half = head_dim / 2;
        let frequency = |j: usize| base.powf(-2.0 * (A * (j / A)) as f64 / head_dim as f64);
        let frequencies: Vec<f64> = (0..half).map(frequency).collect();
        let pair_of = |feature: usize| match pairing {
            Pairing::Adjacent => feature / 2,
            Pairing::Halves => feature % half,
        };
        let table = |f: fn(f64) -> f64| {
            let angle = |position: &[usize; A], pair: usize| position[pair % A] as f64 / scale * frequencies[pair];
            let values: Vec<f32> = positions
                .iter()
                .flat_map(|position| (0..head_dim).map(move |feature| f(angle(position, pair_of(feature))) as f32))
                .collect();
            Tensor::from_data(TensorData::new(values, [1, 1, positions.len(), head_dim]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin), turn: turn(head_dim, pairing, device) }
    }

    /// Positions 0 … `tokens` − 1 along one axis.
    pub fn line(tokens: usize, head_dim: usize, base: f64, scale: f64, pairing: Pairing, device: &Device) -> Self {
        let positions: Vec<[usize; 1]> = (0..tokens).map(|position| [position]).collect();
        Self::new(&positions, head_dim, base, scale, pairing, device)
    }

    /// One table for a batch whose rows stand at different positions, each filled up to `tokens` with tokens that are not
    /// turned.
    ///
    /// # Panics
    ///
    /// If there are no rows.
    pub fn batch(rows: &[&Self], tokens: usize) -> Self {
        let table = |of: fn(&Self) -> &Tensor<4>, rest: f64| {
            let filled = |row: &&Self| {
                let table = of(row).clone();
                let [_, _, count, width] = table.dims();
                if count == tokens {
                    return table;
                }
                let rest = Tensor::full([1, 1, tokens - count, width], rest, &table.device());
                Tensor::cat(vec![table, rest], 2)
            };
            Tensor::cat(rows.iter().map(filled).collect(), 0) // [B, 1, N, d]
        };
        Self { cos: table(|row| &row.cos, 1.0), sin: table(|row| &row.sin, 0.0), turn: rows[0].turn.clone() }
    }

    /// `[B, H, N, d]` to `[B, H, N, d]`, for the first N positions of the table.
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let tokens = x.dims()[2];
        let [cos, sin] = [&self.cos, &self.sin].map(|t| t.clone().narrow(2, 0, tokens)); // [1 or B, 1, N, d]
        let [batch, heads, _, width] = x.dims();
        let turned = x.clone().reshape([1, 1, batch * heads * tokens, width]).matmul(self.turn.clone()); // [1, 1, B·H·N, d]
        x * cos + turned.reshape([batch, heads, tokens, width]) * sin
    }

    /// The cosines and sines, each `[1, 1, N, d]`, of a batch `[B, 1, N, d]`.
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
