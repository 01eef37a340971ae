//! Properties of the block formats over ragged shapes and several kinds of values.

use half::f16;

use crate::quant::{BLOCK, Encoded, Format, Layout, decode, encode};

const QUANTIZED: [Format; 3] = [Format::Q4B32, Format::Q4AB32, Format::Q8B32];
const SHAPES: [(usize, usize); 10] =
    [(1, 1), (1, 31), (3, 32), (2, 33), (5, 63), (4, 64), (3, 65), (7, 100), (2, 257), (17, 70)];

/// Rounding a scale or minimum to f16 moves a value by at most one part in 2¹¹; twice that leaves room for f32 sums.
const F16_SLACK: f32 = 1.0 / 1024.0;
/// Errors are compared after sums of 32 squares in f32, each with a rounding of 2⁻²⁴.
const SUM_SLACK: f64 = 1e-5;
/// Of weights drawn from a normal distribution, measured 0.0819, 0.0709 and 0.00476: more means that fitting got worse.
const NORMAL_RELATIVE_ERROR: [f64; 3] = [0.083, 0.072, 0.0048];

/// SplitMix64: small, and the same numbers on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In -1..1.
    pub fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Mean 0, deviation 1, nearly: the sum of twelve uniform numbers of variance 1/3, halved.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() / 2.0
    }

    /// Values as networks have them and as they should not: normal, offset, with outliers, sparse, minute, large.
    fn values(&mut self, kind: usize, count: usize) -> Vec<f32> {
        (0..count)
            .map(|index| match kind {
                0 => 0.02 * self.normal(),
                1 => 3.0 + 0.1 * self.uniform(),
                2 => self.uniform() * if index % 29 == 0 { 50.0 } else { 1.0 },
                3 => {
                    if self.next().is_multiple_of(4) {
                        self.normal()
                    } else {
                        0.0
                    }
                }
                4 => 1e-5 * self.uniform(),
                _ => 60000.0 * self.uniform(),
            })
            .collect()
    }
}

const KINDS: usize = 6;
/// The kind whose scales fall below the smallest normal f16, where exact statements end.
const MINUTE: usize = 4;

/// Calls `check` with every format, shape and kind of values.
fn for_all(mut check: impl FnMut(Format, (usize, usize), usize, &[f32])) {
    let mut random = Random(1);
    for format in QUANTIZED {
        for (rows, cols) in SHAPES {
            for kind in 0..KINDS {
                check(format, (rows, cols), kind, &random.values(kind, rows * cols));
            }
        }
    }
}

fn round_trip(values: &[f32], (rows, cols): (usize, usize), format: Format) -> Vec<f32> {
    decode(&encode(values, rows, cols, format).unwrap(), rows, cols, format).unwrap()
}

fn squared_error(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| (f64::from(*left) - f64::from(*right)).powi(2)).sum()
}

/// The blocks of a matrix, as pairs of equal pieces of `left` and `right`.
fn blocks<'a>(left: &'a [f32], right: &'a [f32], cols: usize) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
    left.chunks(cols).zip(right.chunks(cols)).flat_map(|(left, right)| left.chunks(BLOCK).zip(right.chunks(BLOCK)))
}

/// The step between two levels when the scale comes from the largest value (or the span) alone.
fn plain_step(block: &[f32], format: Format) -> f32 {
    let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let highest = block.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let lowest = block.iter().copied().fold(f32::INFINITY, f32::min);
    match format {
        Format::Q4B32 => largest / 7.0,
        Format::Q8B32 => largest / 127.0,
        _ => (highest - lowest) / 15.0,
    }
}

#[test]
fn names_and_bits_are_those_of_the_manifest() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        let layout = Layout::new(1, 64, format);
        assert_eq!(layout.is_ok(), format.is_quantized());
        if let Ok(layout) = layout {
            let scales = layout.scales() * if format.has_min() { 2 } else { 1 };
            assert_eq!((32 * layout.words() + 16 * scales) as f32 / 64.0, format.bits_per_weight());
        }
    }
    assert!("q3b32".parse::<Format>().unwrap_err().to_string().contains("q4b32"));
}

#[test]
fn rows_have_an_even_number_of_scales_and_padding_is_cut() {
    for_all(|format, (rows, cols), _, values| {
        let layout = Layout::new(rows, cols, format).unwrap();
        assert!(layout.padded_cols.is_multiple_of(64) && layout.padded_cols - cols < 64);
        let encoded = encode(values, rows, cols, format).unwrap();
        assert_eq!((encoded.codes.len(), encoded.scales.len()), (layout.words(), layout.scales()));
        assert_eq!(decode(&encoded, rows, cols, format).unwrap().len(), rows * cols);
        let padded = decode(&encoded, rows, layout.padded_cols, format).unwrap();
        assert_eq!(round_trip(values, (rows, cols), format)[..cols], padded[..cols]);
    });
}

#[test]
fn a_block_is_within_half_a_step_of_its_values() {
    for_all(|format, shape, kind, values| {
        let decoded = round_trip(values, shape, format);
        for (block, decoded) in blocks(values, &decoded, shape.1) {
            let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let step = plain_step(block, format).max(f16::MIN_POSITIVE.to_f32());
            let bound = f64::from(step / 2.0 + largest * F16_SLACK);
            let error = (squared_error(block, decoded) / block.len() as f64).sqrt();
            assert!(error <= bound, "{format} {shape:?} kind {kind}: error {error}, bound {bound}");
        }
    });
}

#[test]
fn least_squares_is_never_worse_than_the_largest_value_alone() {
    for_all(|format, shape, kind, values| {
        let decoded = round_trip(values, shape, format);
        for (block, decoded) in blocks(values, &decoded, shape.1) {
            let step = f16::from_f32(plain_step(block, format));
            if !step.is_normal() {
                continue; // It could not be stored.
            }
            let step = step.to_f32();
            let lowest = block.iter().copied().fold(f32::INFINITY, f32::min);
            let min = if format.has_min() { f16::from_f32(lowest).to_f32() } else { 0.0 };
            let (low, high) = match format {
                Format::Q4B32 => (-8.0, 7.0),
                Format::Q8B32 => (-128.0, 127.0),
                _ => (0.0, 15.0),
            };
            let plain: Vec<_> =
                block.iter().map(|value| ((value - min) / step).round().clamp(low, high) * step + min).collect();
            let (error, plain) = (squared_error(block, decoded), squared_error(block, &plain));
            assert!(error <= plain * (1.0 + SUM_SLACK), "{format} {shape:?} kind {kind}: {error} > {plain}");
        }
    });
}

#[test]
fn normal_weights_lose_little() {
    let values = Random(7).values(0, 256 * 256);
    let power = squared_error(&values, &vec![0.0; values.len()]);
    for (format, bound) in QUANTIZED.into_iter().zip(NORMAL_RELATIVE_ERROR) {
        let error = (squared_error(&values, &round_trip(&values, (256, 256), format)) / power).sqrt();
        assert!(error < bound, "{format}: {error}");
    }
}

#[test]
fn encoding_again_changes_nothing() {
    for_all(|format, shape, kind, values| {
        let once = round_trip(values, shape, format);
        let twice = round_trip(&once, shape, format);
        if !format.has_min() && kind != MINUTE {
            assert_eq!(once, twice, "{format} {shape:?} kind {kind}");
        }
        // Where no code of a block is 0, its minimum is found anew and rounded to f16 again.
        for (once, twice) in blocks(&once, &twice, shape.1) {
            let largest = once.iter().fold(f16::MIN_POSITIVE.to_f32(), |largest, value| largest.max(value.abs()));
            let error = (squared_error(once, twice) / once.len() as f64).sqrt();
            assert!(error <= f64::from(largest * F16_SLACK), "{format} {shape:?} kind {kind}: {error}");
        }
    });
}

/// Rows are fitted side by side, and in some of the shapes not as many as there is room for.
#[test]
fn a_row_is_encoded_as_if_it_were_alone() {
    for_all(|format, (rows, cols), kind, values| {
        let together = encode(values, rows, cols, format).unwrap();
        let alone = values.chunks(cols).map(|row| encode(row, 1, cols, format).unwrap());
        let joined = alone.reduce(|mut first, next| {
            first.codes.extend(next.codes);
            first.scales.extend(next.scales);
            first.mins.iter_mut().zip(next.mins).for_each(|(mins, more)| mins.extend(more));
            first
        });
        assert_eq!(joined, Some(together), "{format} [{rows}, {cols}] kind {kind}");
    });
}

#[test]
fn scales_are_zero_or_normal() {
    for_all(|format, (rows, cols), _, values| {
        let encoded = encode(values, rows, cols, format).unwrap();
        let numbers = encoded.scales.iter().chain(encoded.mins.iter().flatten());
        for number in numbers {
            assert!(number.is_normal() || *number == f16::ZERO, "{format}: {number}");
        }
    });
}

#[test]
fn zero_and_constant_blocks_are_exact() {
    for format in QUANTIZED {
        for constant in [0.0, 0.5, -3.0] {
            let values = vec![constant; 2 * 40];
            assert_eq!(round_trip(&values, (2, 40), format), values, "{format}");
        }
    }
}

#[test]
fn bits_lie_where_the_format_says() {
    // Levels -8, 7, 0, 1 with scale 1; q8: -128, 127, 0, 1.
    let q4 = encode(&[-8.0, 7.0, 0.0, 1.0], 1, 4, Format::Q4B32).unwrap();
    assert_eq!((q4.scales[0].to_f32(), q4.codes[0]), (1.0, 0x8888_98f0));
    let q8 = encode(&[-128.0, 127.0, 0.0, 1.0], 1, 4, Format::Q8B32).unwrap();
    assert_eq!((q8.scales[0].to_f32(), q8.codes[0]), (1.0, 0x0100_7f80));
    let q4a = encode(&[1.0, 16.0, 2.0], 1, 3, Format::Q4AB32).unwrap();
    assert_eq!((q4a.scales[0].to_f32(), q4a.mins.unwrap()[0].to_f32(), q4a.codes[0]), (1.0, 1.0, 0x1f0));
}

#[test]
fn what_cannot_be_stored_is_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 70000.0] {
        for format in QUANTIZED {
            let error = encode(&[0.0, bad], 1, 2, format).unwrap_err();
            assert!(error.to_string().starts_with("value 1: expected a number"), "{error}");
        }
    }
    assert!(encode(&[0.0; 3], 2, 2, Format::Q4B32).is_err());
    assert!(encode(&[0.0; 4], 2, 2, Format::F16).is_err());
    assert!(Layout::new(0, 4, Format::Q4B32).is_err());
    for (rows, cols) in [(usize::MAX, 1), (1, usize::MAX), (1 << 33, 1 << 33), (usize::MAX / 64, 64)] {
        assert!(Layout::new(rows, cols, Format::Q8B32).is_err());
    }
}

#[test]
fn wrong_counts_and_wild_scales_are_refused() {
    let good = encode(&[1.0; 64], 1, 64, Format::Q4AB32).unwrap();
    let broken: [fn(&mut Encoded); 5] = [
        |encoded| encoded.codes.truncate(7),
        |encoded| encoded.scales.push(f16::ONE),
        |encoded| encoded.mins = None,
        |encoded| encoded.scales[0] = f16::NAN,
        |encoded| encoded.mins = Some(vec![f16::INFINITY; 2]),
    ];
    for damage in broken {
        let mut bad = good.clone();
        damage(&mut bad);
        assert!(decode(&bad, 1, 64, Format::Q4AB32).is_err());
    }
    assert!(decode(&good, 1, 64, Format::Q4B32).is_err(), "minima in a symmetric format");
}
