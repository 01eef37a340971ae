//! What follows a product, while its numbers are in the cache.

use burn::tensor::Tensor;

use super::{super::End, Array, exp::silu, vectorized};

/// What becomes of a product.
pub struct Finish {
    b: Option<Array<1>>,
    end: FinishEnd,
    /// Numbers of a whole row.
    width: usize,
}

enum FinishEnd {
    Plain,
    Residual { other: Array<2>, gates: Array<3>, rows_a_gate: usize },
    Gated(Array<2>),
    Silu(Option<Array<2>>),
}

impl Finish {
    /// Of a product of this shape; nothing if a tensor is not plain f32 on the CPU.
    pub fn of(b: Option<&Tensor<1>>, end: &End, [rows, width]: [usize; 2]) -> Option<Self> {
        let b = Array::of_optional(b)?;
        let end = match end {
            End::Plain => FinishEnd::Plain,
            End::Residual { other, gates } => FinishEnd::Residual {
                other: Array::of(other)?.whole(),
                rows_a_gate: rows / gates.parts.dims()[0],
                gates: Array::of(&gates.vectors())?.whole(),
            },
            End::Gated(other) => FinishEnd::Gated(Array::of(other)?.whole()),
            End::Silu(other) => FinishEnd::Silu(Array::of_optional(other.as_ref())?.map(Array::whole)),
        };
        Some(Self { b, end, width })
    }

    /// What the product has in this row, from this column on.
    pub fn apply(&self, row: usize, column: usize, z: &mut [f32]) {
        let length = z.len();
        let at = |row: usize| row * self.width + column..row * self.width + column + length;
        if let Some(b) = &self.b {
            add(z, &b.values()[at(0)]);
        }
        match &self.end {
            FinishEnd::Plain => {}
            FinishEnd::Residual { other, gates, rows_a_gate } => {
                residual(z, &other.values()[at(row)], &gates.values()[at(row / rows_a_gate)]);
            }
            FinishEnd::Gated(other) => gated(z, &other.values()[at(row)]),
            FinishEnd::Silu(other) => {
                if let Some(other) = other {
                    add(z, &other.values()[at(row)]);
                }
                activated(z);
            }
        }
    }
}

vectorized! {
    fn add(z: &mut [f32], b: &[f32]) {
        for (z, b) in z.iter_mut().zip(b) {
            *z += b;
        }
    }
}

vectorized! {
    fn residual(z: &mut [f32], other: &[f32], gates: &[f32]) {
        for ((z, other), gate) in z.iter_mut().zip(other).zip(gates) {
            *z = other + gate * *z;
        }
    }
}

vectorized! {
    fn activated(z: &mut [f32]) {
        for z in z {
            *z = silu(*z);
        }
    }
}

vectorized! {
    fn gated(z: &mut [f32], other: &[f32]) {
        for (z, &other) in z.iter_mut().zip(other) {
            *z *= silu(other);
        }
    }
}
