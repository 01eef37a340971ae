//! The tokens of a sequence whose features are too many for a device to bind at once, span by span.
//!
//! Latents and patches are narrow; it is the model's width that makes tokens large. So a span is made of the patches that it
//! holds, and no tensor ever has the features of all tokens.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};

use super::{FlagDit, Sequence, layout::Token, patches::patchify};
use crate::kernels::spread;

impl FlagDit {
    /// A latent to spans of tokens with their separators: `[B, C, H, W]` to `[B, n, D]` each.
    pub(super) fn spans(&self, x: Tensor<4>, sequence: &Sequence) -> Vec<Tensor<3>> {
        let patches = patchify(x, self.patch(sequence)); // [B, F·R·C, C·pH·pW]
        sequence.spans.iter().map(|span| self.span(&patches, span.clone(), sequence)).collect()
    }

    /// The tokens of one span, `[B, n, D]`, of all patches `[B, F·R·C, C·pH·pW]`.
    fn span(&self, patches: &Tensor<3>, span: Range<usize>, sequence: &Sequence) -> Tensor<3> {
        let ([batch, count, _], device) = (patches.dims(), patches.device());
        let tokens: Vec<Token> = span.map(|token| sequence.layout.token(token)).collect();
        let held = |token: &Token| if let Token::Patch(patch) = token { Some(*patch) } else { None };
        let (first, last) = (tokens.iter().find_map(held), tokens.iter().rev().find_map(held));
        // A span of separators alone embeds a patch for nothing, since no tensor is empty.
        let range = first.zip(last).map_or(0..1, |(first, last)| first..last + 1);
        let mut x = self.ends(sequence).0.forward(patches.clone().narrow(1, range.start, range.len())); // [B, p, D]
        if let Some(embedder) = self.phase_embedder.as_ref().filter(|_| sequence.has_phases) {
            let frames = sequence.layout.frames;
            let of: Vec<i32> = range.clone().map(|patch| (patch * frames / count) as i32).collect();
            let of = Tensor::<1, Int>::from_data(TensorData::new(of, [range.len()]), &device);
            x = x + embedder.of_frames(frames, &device).select(0, of).unsqueeze_dim(0); // [B, p, D]
        }
        let separator = |token: &Tensor<1>| spread(token.clone(), batch).unsqueeze_dim::<3>(1); // [1 or B, 1, D]
        let separators = [&self.nextline_token, &self.nextframe_token];
        let separators = separators.map(|token| token.as_ref().map(|token| separator(&token.val())));
        // Where each stands behind the patches.
        let next_line = range.len();
        let next_frame = next_line + usize::from(separators[0].is_some());
        let at = |token: &Token| match *token {
            Token::Patch(patch) => patch - range.start,
            Token::NextLine => next_line,
            Token::NextFrame => next_frame,
        };
        let order: Vec<i32> = tokens.iter().map(|token| at(token) as i32).collect();
        let order = Tensor::<1, Int>::from_data(TensorData::new(order, [tokens.len()]), &device);
        let width = x.dims()[2];
        let separators = separators.into_iter().flatten().map(|token| token.expand([batch, 1, width]));
        let all = Tensor::cat(std::iter::once(x).chain(separators).collect(), 1); // [B, p + 2, D]
        all.select(1, order) // [B, n, D]
    }
}
