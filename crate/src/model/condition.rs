//! What a run is conditioned on: captions, or labels.

use std::ops::Range;

use burn::tensor::{Int, Tensor};

use super::{FlagDit, attention::CaptionKeys};

/// Caption features with their mask.
#[derive(Debug, Clone)]
pub struct Caption {
    /// What the text encoder made of the tokens, `[B, T, C]`.
    pub features: Tensor<3>,
    /// 1 for a token, 0 for padding, `[B, T]`.
    pub mask: Tensor<2>,
}

/// A caption, or a label, as every evaluation of a run meets it: what does not depend on x and t is made once.
#[derive(Debug, Clone)]
pub struct PreparedCaption {
    /// Its part of the conditioning vector, `[B, E]`.
    pub pooled: Tensor<2>,
    /// For each block; a label has none.
    pub keys: Vec<Option<CaptionKeys>>,
}

/// What the rows of a batch are conditioned on.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one lives at a time")]
pub enum Condition {
    /// For models of captions.
    Caption(Caption),
    /// `[B]`, for models of labels; as large as their number: none of them.
    Labels(Tensor<1, Int>),
}

impl Condition {
    /// Rows B of the batch.
    pub fn rows(&self) -> usize {
        match self {
            Self::Caption(caption) => caption.mask.dims()[0],
            Self::Labels(labels) => labels.dims()[0],
        }
    }

    /// These rows alone.
    pub fn select(&self, rows: Range<usize>) -> Self {
        let (first, count) = (rows.start, rows.len());
        match self.clone() {
            Self::Caption(Caption { features, mask }) => Self::Caption(Caption {
                features: features.narrow(0, first, count),
                mask: mask.narrow(0, first, count),
            }),
            Self::Labels(labels) => Self::Labels(labels.narrow(0, first, count)),
        }
    }

    /// What all evaluations of `model` with it share.
    ///
    /// # Panics
    ///
    /// If the model knows the other sort only.
    pub fn prepare(&self, model: &FlagDit) -> PreparedCaption {
        match self {
            Self::Caption(caption) => model.prepare(caption),
            Self::Labels(labels) => model.prepare_labels(labels.clone()),
        }
    }
}
