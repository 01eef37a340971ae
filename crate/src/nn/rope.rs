//! Rotary position embedding.

use burn::tensor::{Device, Tensor, TensorData};

use super::norm::LayerNorm;
pub use crate::kernels::qk_norm_rope::Pairing;
use crate::kernels::qk_norm_rope::{Rotation, qk_norm_rope};

/// Cosines and sines for the positions of one sequence.
#[derive(Debug, Clone)]
pub struct Rope {
    rotation: Rotation,
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
        Self { rotation: Rotation::new(table(f64::cos), table(f64::sin), pairing) }
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
        let table = |of: fn(&Rotation) -> &Tensor<4>, rest: f64| {
            let filled = |row: &&Self| {
                let table = of(&row.rotation).clone();
                let [_, _, count, width] = table.dims();
                if count == tokens {
                    return table;
                }
                let rest = Tensor::full([1, 1, tokens - count, width], rest, &table.device());
                Tensor::cat(vec![table, rest], 2)
            };
            Tensor::cat(rows.iter().map(filled).collect(), 0) // [B, 1, N, d]
        };
        Self { rotation: rows[0].rotation.with(table(|row| &row.cos, 1.0), table(|row| &row.sin, 0.0)) }
    }

    /// `[B, N, H·d]`, normed over all heads together where there is a norm, as `heads` heads at the first N positions of the
    /// table: `[B, H, N, d]`.
    pub fn heads(&self, x: Tensor<3>, heads: usize, norm: Option<&LayerNorm>) -> Tensor<4> {
        qk_norm_rope(x, heads, norm.map(LayerNorm::parameters), &self.rotation)
    }

    /// The table from position number `first` on, for so many tokens.
    pub fn span(&self, first: usize, tokens: usize) -> Self {
        let [cos, sin] = [&self.rotation.cos, &self.rotation.sin].map(|table| table.clone().narrow(2, first, tokens));
        Self { rotation: self.rotation.with(cos, sin) }
    }

    /// The cosines and sines, each `[1, 1, N, d]`, of a batch `[B, 1, N, d]`.
    pub fn tables(&self) -> (Tensor<4>, Tensor<4>) {
        (self.rotation.cos.clone(), self.rotation.sin.clone())
    }
}
