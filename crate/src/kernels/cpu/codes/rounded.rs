//! x in whole numbers, block by block.

use std::mem::MaybeUninit;

use super::{
    super::{
        Array,
        exp::ROUNDER,
        threads::{self, Piece, rows_at_once},
        vectorized,
    },
    strip::Blocks,
};
use crate::quant::BLOCK;

/// How many bits x is rounded to, and how they lie in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 8, four numbers a word.
    Bytes,
    /// 16, two numbers a word.
    Shorts,
    /// 16 too, as two bytes with a sign, upper · 256 + lower: the upper ones of a block, four a word, then the lower ones.
    PairsOfBytes,
}

impl Precision {
    /// Words of a block's numbers.
    pub fn words(self) -> usize {
        match self {
            Self::Bytes => BLOCK / 4,
            Self::Shorts | Self::PairsOfBytes => BLOCK / 2,
        }
    }
}

/// What a block's numbers are at most, in 8 bits, and in 16, of which each half has a sign: 127 · 256 + 127.
const MOST_OF_BYTES: f32 = 127.0;
const MOST_OF_SHORTS: f32 = 32_639.0;
/// Words of a block before its numbers: [`Head`].
pub const HEAD: usize = 3;
/// Numbers that a core rounds in a nanosecond, about.
const NUMBERS: usize = 2;

// Small numbers are put into words by their place in memory, and found there by their place in a word.
const _: () = assert!(cfg!(target_endian = "little"));

/// What is known of a block.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Head {
    /// What its whole numbers are multiplied with.
    pub scale: f32,
    /// What is added to a sum of products with codes, so that codes count from their zero.
    pub start: i32,
    /// Σ x.
    pub sum: f32,
}

/// x, row after row, each block a [`Head`] and its numbers.
pub struct Rounded {
    words: Vec<u32>,
    per_row: usize,
    precision: Precision,
}

impl Rounded {
    /// x with so many rows, those that it does not have zeros.
    pub fn new(x: &Array<2>, rows: usize, precision: Precision, blocks: Blocks) -> Self {
        let ([count, width], [stride, _]) = (x.dims(), x.strides());
        let per_row = blocks.per_row * (HEAD + precision.words());
        let round = match precision {
            Precision::Bytes => round_to_bytes,
            Precision::Shorts => round_to_shorts,
            Precision::PairsOfBytes => round_to_pairs_of_bytes,
        };
        let fill = |(): &mut (), Piece { first, values }: Piece<u32>| {
            for (row, words) in (first / per_row..).zip(values.chunks_exact_mut(per_row)) {
                let numbers = if row < count { &x.values()[row * stride..][..width] } else { &[] };
                round(words, numbers, blocks.zero);
            }
        };
        let lengths = threads::lengths(rows, rows_at_once(rows, width / NUMBERS), per_row);
        // SAFETY: every block of every row is written.
        Self { words: unsafe { threads::fill(lengths, || (), fill) }, per_row, precision }
    }

    /// From a row on.
    pub fn rows_from(&self, row: usize) -> &[u32] {
        &self.words[row * self.per_row..]
    }

    /// Words of a row.
    pub fn per_row(&self) -> usize {
        self.per_row
    }

    /// How it was rounded.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

vectorized! {
    fn round_to_bytes(words: &mut [MaybeUninit<u32>], x: &[f32], zero: i32) {
        round::<{ BLOCK / 4 }>(words, x, MOST_OF_BYTES, bytes);
        // SAFETY: every block was written.
        sum_up(unsafe { words.assume_init_mut() }, BLOCK / 4, zero, sum::<8>);
    }
}

vectorized! {
    fn round_to_shorts(words: &mut [MaybeUninit<u32>], x: &[f32], zero: i32) {
        round::<{ BLOCK / 2 }>(words, x, MOST_OF_SHORTS, |numbers| {
            let mut shorts = [0i16; BLOCK];
            for (short, number) in shorts.iter_mut().zip(numbers) {
                *short = *number as i16;
            }
            bytemuck::cast(shorts)
        });
        // SAFETY: every block was written.
        sum_up(unsafe { words.assume_init_mut() }, BLOCK / 2, zero, sum::<16>);
    }
}

vectorized! {
    fn round_to_pairs_of_bytes(words: &mut [MaybeUninit<u32>], x: &[f32], zero: i32) {
        round::<{ BLOCK / 2 }>(words, x, MOST_OF_SHORTS, |numbers| {
            let mut upper = [0; BLOCK];
            for (upper, number) in upper.iter_mut().zip(numbers) {
                *upper = (number + 128) >> 8;
            }
            bytemuck::cast([bytes(&upper), bytes(numbers)])
        });
        let of_pairs = |words: &[u32]| {
            let (upper, lower) = words.split_at(BLOCK / 4);
            256 * sum::<8>(upper) + sum::<8>(lower)
        };
        // SAFETY: every block was written.
        sum_up(unsafe { words.assume_init_mut() }, BLOCK / 2, zero, of_pairs);
    }
}

/// The lowest 8 bits of each.
#[inline(always)]
fn bytes(numbers: &[i32; BLOCK]) -> [u32; BLOCK / 4] {
    let mut bytes = [0i8; BLOCK];
    for (byte, number) in bytes.iter_mut().zip(numbers) {
        *byte = *number as i8;
    }
    bytemuck::cast(bytes)
}

/// A row but for its sums; blocks beyond its end are zeros. Methods of arrays would be calls without vectors, so it is loops.
#[inline(always)]
fn round<const WORDS: usize>(
    words: &mut [MaybeUninit<u32>],
    x: &[f32],
    most: f32,
    pack: impl Fn(&[i32; BLOCK]) -> [u32; WORDS],
) {
    for (block, words) in words.chunks_exact_mut(HEAD + WORDS).enumerate() {
        let mut numbers = [0.0; BLOCK];
        let x = x.get(block * BLOCK..).unwrap_or_default();
        match x.first_chunk() {
            Some(whole) => numbers = *whole,
            None => numbers[..x.len()].copy_from_slice(x),
        }
        let (scale, numbers) = round_block(&numbers, most);
        let (head, of_numbers) = words.split_at_mut(HEAD);
        head.write_copy_of_slice(&bytemuck::cast::<_, [u32; HEAD]>(Head { scale, start: 0, sum: 0.0 }));
        of_numbers.write_copy_of_slice(&pack(&numbers));
    }
}

/// The scale of a block, and its numbers. What is not finite makes a scale that is not, and so all that comes of it.
#[inline(always)]
fn round_block(x: &[f32; BLOCK], most: f32) -> (f32, [i32; BLOCK]) {
    // By their bits: NaN is above all.
    let mut highest = 0;
    for x in x {
        highest = highest.max(x.to_bits() & !(1 << 31));
    }
    let scale = f32::from_bits(highest) / most;
    let inverse = if scale > f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
    let mut rounded = [0; BLOCK];
    for (rounded, x) in rounded.iter_mut().zip(x) {
        *rounded = (x * inverse + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits()).cast_signed();
    }
    (scale, rounded)
}

/// Completes the heads of a row's blocks of so many words. Sums of what was just rounded would be computed number by number,
/// so this is another pass.
#[inline(always)]
fn sum_up(words: &mut [u32], of_numbers: usize, zero: i32, sum: impl Fn(&[u32]) -> i32) {
    for words in words.chunks_exact_mut(HEAD + of_numbers) {
        let (head, numbers) = words.split_at_mut(HEAD);
        let (sum, head) = (sum(numbers), bytemuck::from_bytes_mut::<Head>(bytemuck::cast_slice_mut(head)));
        head.start = zero.wrapping_mul(sum).wrapping_neg();
        head.sum = head.scale * sum as f32;
    }
}

/// The sum of a block's numbers of `BITS` bits: each is made positive, so that those of a word can be added as they lie.
#[inline(always)]
fn sum<const BITS: usize>(words: &[u32]) -> i32 {
    let (places, half) = if BITS == 8 { (0x00FF_00FF, 0x8080_8080) } else { (0x0000_FFFF, 0x8000_8000) };
    let mut sums = 0;
    for word in words {
        let word = word ^ half;
        sums += (word & places) + (word >> BITS & places);
    }
    let sum = if BITS == 8 { (sums & 0xFFFF) + (sums >> 16) } else { sums };
    sum.cast_signed() - (BLOCK << (BITS - 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    type Round = fn(&mut [MaybeUninit<u32>], &[f32], i32);

    /// A row of two blocks, of which x is the first.
    fn rounded(round: Round, x: &[f32; BLOCK], precision: Precision, zero: i32) -> (Head, Vec<u32>) {
        let block = HEAD + precision.words();
        let mut words = vec![MaybeUninit::uninit(); 2 * block];
        round(&mut words, x, zero);
        // SAFETY: it wrote all of them.
        let words: Vec<u32> = words.into_iter().map(|word| unsafe { word.assume_init() }).collect();
        assert_eq!(words[block..], vec![0; block], "a block of nothing is zeros");
        (bytemuck::pod_read_unaligned(bytemuck::cast_slice(&words[..HEAD])), words[HEAD..block].to_vec())
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_step_whatever_they_lie_in() {
        let x: [f32; BLOCK] = std::array::from_fn(|i| (i as f32 - 11.3) * 0.37);
        for (round, precision, most) in [
            (round_to_bytes as Round, Precision::Bytes, MOST_OF_BYTES),
            (round_to_shorts, Precision::Shorts, MOST_OF_SHORTS),
            (round_to_pairs_of_bytes, Precision::PairsOfBytes, MOST_OF_SHORTS),
        ] {
            let (head, words) = rounded(round, &x, precision, 8);
            let bytes =
                |words: &[u32]| bytemuck::cast_slice::<_, i8>(words).iter().map(|byte| i32::from(*byte)).collect();
            let numbers: Vec<i32> = match precision {
                Precision::Bytes => bytes(&words),
                Precision::Shorts => {
                    bytemuck::cast_slice::<_, i16>(&words).iter().map(|short| i32::from(*short)).collect()
                }
                Precision::PairsOfBytes => {
                    let [upper, lower]: [Vec<i32>; 2] = [bytes(&words[..8]), bytes(&words[8..])];
                    upper.iter().zip(lower).map(|(upper, lower)| 256 * upper + lower).collect()
                }
            };
            assert_eq!((head.scale, numbers[31]), (x[31] / most, most as i32), "{precision:?}");
            for (x, number) in x.iter().zip(&numbers) {
                assert!((x / head.scale - *number as f32).abs() <= 0.51, "{x} became {number} in {precision:?}");
            }
            let sum = numbers.iter().sum::<i32>();
            assert_eq!((head.start, head.sum), (-8 * sum, head.scale * sum as f32), "{precision:?}");
        }
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        let with = |odd: f32| std::array::from_fn(|i| if i == 7 { odd } else { 0.5 });
        assert!(round_block(&with(f32::NAN), MOST_OF_BYTES).0.is_nan());
        assert!(round_block(&with(-f32::INFINITY), MOST_OF_BYTES).0.is_infinite());
        // Too small to be divided by: zeros.
        let (scale, numbers) = round_block(&[1e-40; BLOCK], MOST_OF_SHORTS);
        assert!(scale.is_finite() && numbers == [0; BLOCK]);
    }
}
