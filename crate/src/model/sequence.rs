//! What all evaluations of one run share: where tokens stand, and how far they look.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use super::{FlagDit, LatentShape, TokenLayout};
use crate::nn::rope::{Pairing, Rope};

/// RoPE's base before any factor.
const ROPE_BASE: f64 = 10_000.0;

/// What may differ from the configuration at inference: extrapolation beyond the training area (`model.md` §1.4).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SequenceOptions {
    /// Instead of the configuration's.
    pub ntk_factor: Option<f64>,
    /// Instead of the configuration's.
    pub rope_scaling_factor: Option<f64>,
    /// The sequence length at which proportional attention scales by 1/√d; absent: always 1/√d.
    pub base_tokens: Option<usize>,
    /// Instead of both factors, one that depends on the time.
    pub time_aware: Option<TimeAware>,
    /// A clip without beginning and end, whose frames are not told how much of it is over.
    pub is_circle: bool,
    /// Of how many tokens a tensor has the features at most, if a device binds no more at once.
    pub most_tokens: Option<usize>,
}

/// Time-aware scaled RoPE (arXiv 2406.18583 §2.1, as `lumina_next_t2i` has it): while the picture is mostly noise its
/// positions are interpolated, so that the whole is composed as in training; then the base grows instead, which leaves
/// neighbours as near as they were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeAware {
    /// √(area / trained area), for both.
    pub scale: f64,
    /// Until this time positions are divided, from it on the base is multiplied.
    pub watershed: f64,
}

/// What all evaluations of one run share: positions, the attention's scale, a mask where lengths differ.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// The arrangement of tokens.
    pub layout: TokenLayout,
    /// Whether they are sound.
    pub(super) is_sound: bool,
    /// Whether frames are told how much of the clip is over, where the model has ears for it.
    pub(super) has_phases: bool,
    /// Cosines and sines of every position, at all times or until that of `late`.
    pub rope: Rope,
    /// Those from a time on.
    late: Option<(f64, Rope)>,
    /// Factor on the scores of self-attention.
    pub scale: f64,
    /// Which tokens are padding, `[B, 1, 1, N]`.
    pub bias: Option<Tensor<4>>,
    /// The tokens whose features are one tensor: all, or spans one after another.
    pub(super) spans: Vec<Range<usize>>,
}

impl Sequence {
    /// The sequence as an evaluation at time t meets it.
    pub fn at(&self, t: f64) -> Self {
        match &self.late {
            Some((from, rope)) if t >= *from => Self { rope: rope.clone(), ..self.clone() },
            _ => self.clone(),
        }
    }
}

impl FlagDit {
    /// What all evaluations at one latent shape share.
    pub fn sequence(&self, shape: LatentShape, options: SequenceOptions, device: &Device) -> Sequence {
        let layout = self.config().layout(shape);
        let scaling = options.rope_scaling_factor.unwrap_or(self.config().rope_scaling_factor);
        let ntk = options.ntk_factor.unwrap_or(self.config().ntk_factor);
        let (rope, late) = match options.time_aware {
            None => (self.rope(layout, ntk, scaling, device), None),
            Some(TimeAware { scale, watershed }) => {
                let late = self.rope(layout, scale, 1.0, device);
                (self.rope(layout, 1.0, scale, device), Some((watershed, late)))
            }
        };
        Sequence {
            layout,
            has_phases: layout.frames > 1 && !options.is_circle,
            is_sound: matches!(shape, LatentShape::Spectrogram { .. }),
            rope,
            late,
            scale: attention_scale(self.config().head_dim(), layout.tokens(), options.base_tokens),
            bias: None,
            spans: spans(layout.tokens(), options.most_tokens.unwrap_or(usize::MAX)),
        }
    }

    /// Positions along the configuration's axes. With two, frames stand one below the other, as their latents do; neither
    /// two nor three have a place for separators, so [`FlagDitConfig::check`](super::FlagDitConfig::check) allows none beside them.
    fn rope(&self, layout: TokenLayout, ntk: f64, scale: f64, device: &Device) -> Rope {
        let (width, base) = (self.config().head_dim(), ROPE_BASE * ntk);
        let places = || layout.places().into_iter();
        match self.config().rope_axes() {
            1 => Rope::line(layout.tokens(), width, base, scale, Pairing::Adjacent, device),
            2 => {
                let places: Vec<_> = places().map(|[frame, row, col]| [frame * layout.rows + row, col]).collect();
                Rope::new(&places, width, base, scale, Pairing::Adjacent, device)
            }
            _ => Rope::new(&places().collect::<Vec<_>>(), width, base, scale, Pairing::Adjacent, device),
        }
    }
}

/// All tokens in as few ranges of no more than `most` (one, if that is none) as there can be, as equal as can be.
fn spans(tokens: usize, most: usize) -> Vec<Range<usize>> {
    let count = tokens.div_ceil(most.max(1)).max(1);
    (0..count).map(|span| span * tokens / count..(span + 1) * tokens / count).collect()
}

/// 1/√d, or √(log_base(N)/d) where attention is proportional (`forward_with_cfg`).
fn attention_scale(head_dim: usize, tokens: usize, base_tokens: Option<usize>) -> f64 {
    let ratio = base_tokens.map_or(1.0, |base| (tokens as f64).ln() / (base as f64).ln());
    (ratio / head_dim as f64).sqrt()
}
