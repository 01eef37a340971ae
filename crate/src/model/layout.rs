//! Where tokens stand in the sequence: rows that end with [nextline], frames that end with [nextframe].
//!
//! A picture is cut into patches, R rows of C columns, and written down like a text: row after row, each row closed by a
//! learned token, [nextline]. So a sequence says how wide its picture is, and the same weights serve any size and aspect.
//! A video, or the views around an object, is one such page after another, each closed by another learned token,
//! [nextframe]. For F = 2 frames of R = 2 rows and C = 3 columns:
//!
//! ```text
//!             frame 0                          frame 1
//!       ┌───┬───┬───┐                    ┌───┬───┬───┐
//!       │ 0 │ 1 │ 2 │ ↵                  │ 6 │ 7 │ 8 │ ↵
//!       ├───┼───┼───┤                    ├───┼───┼───┤
//!       │ 3 │ 4 │ 5 │ ↵ ■                │ 9 │10 │11 │ ↵ ■        ↵ [nextline]   ■ [nextframe]
//!       └───┴───┴───┘                    └───┴───┴───┘
//!
//! token  0  1  2  ↵  3  4  5  ↵  ■  6  7  8  ↵  9 10 11  ↵  ■
//! RoPE   0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17
//! ```
//!
//! The position of a token, by which RoPE turns its query and key, counts all tokens, the separators too. The last frame
//! has its [nextframe] as well: N = F · (R · (C + 1) + 1). A single frame has none, N = R · (C + 1), so that image
//! checkpoints need nothing else (`model.md` §1.6). What separators become is dropped at the end.
//!
//! Sound is one line without separators: a token is all bands of a few frames of its spectrogram, N = T / frames a token.
//!
//! ```text
//! band 79  ┌────┬────┬────┬────┐
//!    …     │    │    │    │    │
//! band  0  │  0 │  1 │  2 │  3 │
//!          └────┴────┴────┴────┘ time
//! ```
//!
//! Sequences of different lengths in one batch are filled up on the right with a third token, [pad], which no other token
//! attends to ([`FlagDit::forward_list`](super::FlagDit::forward_list)).

use burn::tensor::Tensor;

use crate::kernels::spread;

/// The arrangement of one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLayout {
    /// Frames F, at least one.
    pub frames: usize,
    /// Rows R of patches in a frame.
    pub rows: usize,
    /// Columns C of patches in a row.
    pub cols: usize,
    /// Whether rows end with [nextline].
    pub nextline: bool,
    /// Whether frames end with [nextframe] when there is more than one.
    pub nextframe: bool,
}

/// A token of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The patch of this number.
    Patch(usize),
    /// [nextline].
    NextLine,
    /// [nextframe].
    NextFrame,
}

/// The extent of what is generated, in the denoiser's space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LatentShape {
    /// F frames of latent pixels, one below the other: `[B, C, F·H, W]`. Height and width are multiples of the patch.
    Frames {
        /// F: one for a picture.
        frames: usize,
        /// H, of one frame.
        height: usize,
        /// W.
        width: usize,
    },
    /// A log-mel spectrogram: `[B, 1, bands, T]`.
    Spectrogram {
        /// T, a multiple of the frames a token holds.
        frames: usize,
    },
}

impl LatentShape {
    /// One picture.
    pub fn picture(height: usize, width: usize) -> Self {
        Self::Frames { frames: 1, height, width }
    }
}

impl TokenLayout {
    /// Patches, without separators.
    pub fn patches(&self) -> usize {
        self.frames * self.rows * self.cols
    }

    /// Tokens N of the sequence, separators included.
    pub fn tokens(&self) -> usize {
        self.frames * self.frame_tokens()
    }

    fn row_tokens(&self) -> usize {
        self.cols + usize::from(self.nextline)
    }

    fn ends_frames(&self) -> bool {
        self.nextframe && self.frames > 1
    }

    fn frame_tokens(&self) -> usize {
        self.rows * self.row_tokens() + usize::from(self.ends_frames())
    }

    /// Frame, row and column of every patch, in their order.
    pub fn places(&self) -> Vec<[usize; 3]> {
        let &Self { rows, cols, .. } = self;
        (0..self.patches()).map(|patch| [patch / (rows * cols), patch / cols % rows, patch % cols]).collect()
    }

    /// What token number `token` is.
    pub fn token(&self, token: usize) -> Token {
        let (frame, in_frame) = (token / self.frame_tokens(), token % self.frame_tokens());
        let (row, col) = (in_frame / self.row_tokens(), in_frame % self.row_tokens());
        match (row == self.rows, col == self.cols) {
            (true, _) => Token::NextFrame,
            (false, true) => Token::NextLine,
            (false, false) => Token::Patch((frame * self.rows + row) * self.cols + col),
        }
    }

    /// Inserts the separators, each `[D]`: `[B, F·R·C, D]` to `[B, N, D]`.
    pub fn insert(&self, patches: Tensor<3>, nextline: Option<Tensor<1>>, nextframe: Option<Tensor<1>>) -> Tensor<3> {
        let [batch, _, width] = patches.dims();
        let &Self { frames, rows, cols, .. } = self;
        let each = |token| spread(token, batch).unsqueeze_dim::<3>(1).unsqueeze_dim::<4>(2); // [1 or B, 1, 1, D]
        let mut x = patches.reshape([batch, frames * rows, cols, width]); // [B, F·R, C, D]
        if let (true, Some(token)) = (self.nextline, nextline) {
            let ends = each(token).expand([batch, frames * rows, 1, width]); // [B, F·R, 1, D]
            x = Tensor::cat(vec![x, ends], 2);
        }
        let mut x = x.reshape([batch, frames, rows * self.row_tokens(), width]); // [B, F, R·(C+1), D]
        if let (true, Some(token)) = (self.ends_frames(), nextframe) {
            let ends = each(token).expand([batch, frames, 1, width]); // [B, F, 1, D]
            x = Tensor::cat(vec![x, ends], 2);
        }
        x.reshape([batch, self.tokens(), width]) // [B, N, D]
    }

    /// Drops the separators, the exact inverse of [`Self::insert`]: `[B, N, D]` to `[B, F·R·C, D]`.
    pub fn remove(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, _, width] = tokens.dims();
        let &Self { frames, rows, cols, .. } = self;
        let x = tokens.reshape([batch, frames, self.frame_tokens(), width]); // [B, F, R·(C+1)+1, D]
        let x = x.narrow(2, 0, rows * self.row_tokens());
        let x = x.reshape([batch, frames * rows, self.row_tokens(), width]); // [B, F·R, C+1, D]
        x.narrow(2, 0, cols).reshape([batch, self.patches(), width]) // [B, F·R·C, D]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    const NEXTLINE: f32 = -1.0;
    const NEXTFRAME: f32 = -2.0;
    const BATCH: usize = 2;
    const WIDTH: usize = 2;

    /// One number a token to `[1, N, D]`; no two features of a sequence are alike.
    fn tokens(numbers: &[f32]) -> Vec<f32> {
        numbers.iter().flat_map(|number| [*number, number * 1000.0]).collect()
    }

    fn separator(number: f32) -> Option<Tensor<1>> {
        Some(Tensor::from_floats(tokens(&[number]).as_slice(), &Device::flex()))
    }

    /// The sequence as the documentation has it, for patches that are numbered from `first`.
    fn sequence(layout: &TokenLayout, first: usize) -> Vec<f32> {
        let mut numbers = Vec::new();
        let mut patches = (first..).map(|patch| patch as f32);
        for _ in 0..layout.frames {
            for _ in 0..layout.rows {
                numbers.extend(patches.by_ref().take(layout.cols));
                numbers.extend(layout.nextline.then_some(NEXTLINE));
            }
            numbers.extend((layout.nextframe && layout.frames > 1).then_some(NEXTFRAME));
        }
        numbers
    }

    fn check(layout: TokenLayout) {
        let count = layout.patches();
        let numbers: Vec<f32> = (1..=BATCH * count).map(|patch| patch as f32).collect();
        let patches = TensorData::new(tokens(&numbers), [BATCH, count, WIDTH]);
        let expected: Vec<Vec<f32>> = (0..BATCH).map(|row| sequence(&layout, 1 + row * count)).collect();
        assert!(expected.iter().all(|row| row.len() == layout.tokens()), "{layout:?}: {} tokens", layout.tokens());

        let inserted = layout.insert(
            Tensor::from_data(patches.clone(), &Device::flex()),
            separator(NEXTLINE),
            separator(NEXTFRAME),
        );
        let found = inserted.clone().into_data();
        found.assert_eq(&TensorData::new(tokens(&expected.concat()), [BATCH, layout.tokens(), WIDTH]), true);
        layout.remove(inserted).into_data().assert_eq(&patches, true);
        let number = |token| match layout.token(token) {
            Token::Patch(patch) => (1 + patch) as f32,
            Token::NextLine => NEXTLINE,
            Token::NextFrame => NEXTFRAME,
        };
        assert_eq!((0..layout.tokens()).map(number).collect::<Vec<_>>(), expected[0]);
    }

    #[test]
    fn separators_stand_in_their_places_and_removing_them_is_the_exact_inverse() {
        for (nextline, nextframe) in [(false, false), (false, true), (true, false), (true, true)] {
            for (frames, rows, cols) in (0..3 * 4 * 5).map(|i| (1 + i % 3, 1 + i / 3 % 4, 1 + i / 12)) {
                check(TokenLayout { frames, rows, cols, nextline, nextframe });
            }
        }
    }

    #[test]
    fn token_counts_are_the_documented_ones() {
        let video = TokenLayout { frames: 3, rows: 4, cols: 5, nextline: true, nextframe: true };
        assert_eq!((video.patches(), video.tokens()), (60, 3 * (4 * 6 + 1)));
        let image = TokenLayout { frames: 1, ..video };
        assert_eq!((image.patches(), image.tokens()), (20, 4 * 6));
        assert_eq!(TokenLayout { nextline: false, nextframe: false, ..video }.tokens(), 60);
    }
}
