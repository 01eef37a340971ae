//! Parameters that are on the device and wait for their network, and the matrices of linear layers that become of them.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::kernels::QuantMatrix;

/// The matrix of a linear layer.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are a few hundred, and each holds megabytes")]
pub enum Weight {
    /// `[out, in]`, as PyTorch and the shards have it.
    Dense(Param<Tensor<2>>),
    /// The same, as codes or halves. Cannot be trained.
    Quantized(QuantMatrix),
    /// Rows one below the other, where the device binds no tensor as large as all of them.
    Split(Vec<Weight>),
}

/// Rows of a parameter, or all of them.
#[allow(clippy::large_enum_variant, reason = "there are a few hundred, and each holds megabytes")]
pub(super) enum Piece {
    Dense(Vec<usize>, Tensor<1>),
    /// A matrix of this shape, column after column.
    Columns([usize; 2], Tensor<1>),
    Quantized(QuantMatrix),
}

impl Piece {
    /// One of some, their rows one below the other. All are dense by rows, or all are quantized.
    pub fn put_together(pieces: Vec<Self>) -> Self {
        let mut rows = 0;
        let (mut shape, mut dense, mut quantized) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces {
            rows += piece.rows();
            shape = piece.shape();
            match piece {
                Self::Dense(_, values) | Self::Columns(_, values) => dense.push(values),
                Self::Quantized(matrix) => quantized.push(matrix),
            }
        }
        if dense.is_empty() {
            return Self::Quantized(QuantMatrix::put_together(quantized));
        }
        if let Some(first) = shape.first_mut() {
            *first = rows;
        }
        Self::Dense(shape, Tensor::cat(dense, 0))
    }

    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Dense(shape, _) => shape.clone(),
            Self::Columns(shape, _) => shape.to_vec(),
            Self::Quantized(matrix) => matrix.shape().to_vec(),
        }
    }

    /// As a parameter of its shape; values that lie row after row are arranged.
    fn into_tensor<const D: usize>(self, shape: [usize; D], arrange: fn(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
        match self {
            Self::Dense(_, values) => arrange(values.reshape(shape)),
            Self::Quantized(matrix) => arrange(matrix.dequantize().reshape(shape)),
            // The axes in reverse, as they lie, and back: nothing is copied. It has two, as the shape says.
            Self::Columns(_, values) => {
                let reversed: [usize; D] = std::array::from_fn(|axis| shape[D - 1 - axis]);
                values.reshape(reversed).permute(std::array::from_fn::<_, D, _>(|axis| (D - 1 - axis) as isize))
            }
        }
    }

    fn into_weight(self, [_, cols]: [usize; 2], arrange: fn(Tensor<2>) -> Tensor<2>) -> Weight {
        match self {
            Self::Quantized(matrix) => Weight::Quantized(matrix),
            piece => {
                let shape = [piece.rows(), cols];
                Weight::Dense(Param::from_tensor(piece.into_tensor(shape, arrange)))
            }
        }
    }

    fn rows(&self) -> usize {
        self.shape().first().copied().unwrap_or(1)
    }
}

/// A parameter: one piece, or rows one below the other.
pub(super) struct Loaded(Vec<Piece>);

impl Loaded {
    pub fn new(whole: Piece) -> Self {
        Self(vec![whole])
    }

    /// Puts the rows that follow below those that are there.
    pub fn append(&mut self, below: Piece) {
        self.0.push(below);
    }

    pub fn shape(&self) -> Vec<usize> {
        let mut shape = self.0.first().map(Piece::shape).unwrap_or_default();
        if let Some(rows) = shape.first_mut() {
            *rows = self.0.iter().map(Piece::rows).sum();
        }
        shape
    }

    /// As a parameter of its shape, which is whole wherever it is not the matrix of a linear layer.
    pub fn into_tensor<const D: usize>(self, shape: [usize; D], arrange: fn(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
        let piece = |piece: Piece| {
            let mut shape = shape;
            if let Some(rows) = shape.first_mut() {
                *rows = piece.rows();
            }
            piece.into_tensor(shape, arrange)
        };
        let mut pieces: Vec<_> = self.0.into_iter().map(piece).collect();
        if pieces.len() == 1 { pieces.remove(0) } else { Tensor::cat(pieces, 0) }
    }

    /// As the matrix of a linear layer, of its shape.
    pub fn into_weight(self, shape: [usize; 2], arrange: fn(Tensor<2>) -> Tensor<2>) -> Weight {
        let mut pieces: Vec<_> = self.0.into_iter().map(|piece| piece.into_weight(shape, arrange)).collect();
        if pieces.len() == 1 { pieces.remove(0) } else { Weight::Split(pieces) }
    }
}
