//! The codes and the scales of blocks, by least squares.
//!
//! Each format tries a few first scales. For the levels that a scale gives, the scale with the least squared error is
//! known in closed form (`Σ v·l / Σ l²`); it is tried as well, and the best of all is kept. The scale from the largest
//! value alone is among the first ones, so the result is never worse than that. Scales are rounded to f16 before they
//! are judged; they stay f32 here, which hold every f16.
//!
//! Blocks of [`LANES`] rows are fitted side by side. Loops over lanes become vector code, and the sums of each block are
//! taken in the order of its values all the same: how many lanes there are changes no bit.

use std::array::from_fn;

use half::f16;

use crate::quant::{BLOCK, Format};

/// Blocks that are fitted side by side: two vectors of 128 bits, or one of 256.
pub(super) const LANES: usize = 8;

/// One number for each block.
pub(super) type Lanes = [f32; LANES];
/// The values of the blocks, `[BLOCK][LANES]`.
pub(super) type Values = [Lanes; BLOCK];

/// Blocks as they are stored.
pub(super) struct Blocks {
    /// The bits of each code: 0..=15, or a signed byte in `q8b32`.
    pub codes: [[u32; LANES]; BLOCK],
    /// Zero or a normal f16.
    pub scales: Lanes,
    /// Zero or a normal f16.
    pub mins: Lanes,
}

/// Symmetric levels `lowest..=highest`, and the largest level that each first scale gives to the largest value.
struct Levels {
    lowest: f32,
    highest: f32,
    /// Whole numbers: a block that was encoded before finds its own scale among them, so encoding again changes nothing.
    largest: [f32; 4],
    /// Added to a level it makes its code, of which the bits of `mask` are stored.
    offset: u32,
    mask: u32,
}

const Q4_LEVELS: Levels = Levels { lowest: -8.0, highest: 7.0, largest: [7.0, 8.0, 6.0, 5.0], offset: 8, mask: 0xF };
const Q8_LEVELS: Levels =
    Levels { lowest: -128.0, highest: 127.0, largest: [127.0, 128.0, 126.0, 125.0], offset: 0, mask: 0xFF };

/// The highest code of `q4ab32`.
const HIGHEST_CODE: f32 = 15.0;
/// Into how many steps the span of a block is first cut; above 15, both ends are clipped.
const SPAN_STEPS: [f32; 5] = [HIGHEST_CODE, 14.0, 13.0, 16.0, 17.0];

/// The best blocks for finite `values`, of which `count` a block are given and the rest is padding, zeros.
pub(super) fn fit(values: &Values, count: usize, format: Format) -> Blocks {
    match format {
        Format::Q4B32 => symmetric(values, &Q4_LEVELS),
        Format::Q8B32 => symmetric(values, &Q8_LEVELS),
        Format::Q4AB32 => asymmetric(values, count),
        Format::F16 | Format::F32 => unreachable!("Layout::new refuses dense formats before a block is cut"),
    }
}

/// The best scales (and minima) so far, with their squared errors.
struct Best {
    errors: Lanes,
    scales: Lanes,
    mins: Lanes,
}

impl Best {
    fn new() -> Self {
        Self { errors: [f32::INFINITY; LANES], scales: [0.0; LANES], mins: [0.0; LANES] }
    }

    fn offer(&mut self, errors: &Lanes, scales: &Lanes, mins: &Lanes) {
        for lane in 0..LANES {
            let is_better = errors[lane] < self.errors[lane];
            self.errors[lane] = if is_better { errors[lane] } else { self.errors[lane] };
            self.scales[lane] = if is_better { scales[lane] } else { self.scales[lane] };
            self.mins[lane] = if is_better { mins[lane] } else { self.mins[lane] };
        }
    }
}

/// `values ≈ scale · level`. Padding has level zero, which adds nothing to any sum.
fn symmetric(values: &Values, levels: &Levels) -> Blocks {
    let largest = fold(values, [0.0; LANES], |largest, value| largest.max(value.abs()));
    let mut best = Best::new();
    for first in levels.largest.iter().flat_map(|level| [*level, -level]) {
        let first = from_fn(|lane| storable_scale(largest[lane] / first));
        let (errors, refitted) = levels.try_and_refit(values, &first);
        best.offer(&errors, &first, &[0.0; LANES]);
        best.offer(&levels.squared_errors(values, &refitted), &refitted, &[0.0; LANES]);
    }
    let inverse = best.scales.map(f32::recip);
    let code = |value: &Lanes| {
        from_fn(|lane| low_bits(levels.clamp(value[lane] * inverse[lane])).wrapping_add(levels.offset) & levels.mask)
    };
    let is_zero = |lane: usize| largest[lane] == 0.0;
    Blocks {
        codes: from_fn(|index| code(&values[index])),
        scales: from_fn(|lane| if is_zero(lane) { 0.0 } else { best.scales[lane] }),
        mins: [0.0; LANES],
    }
}

impl Levels {
    fn clamp(&self, level: f32) -> f32 {
        level.clamp(self.lowest, self.highest)
    }

    /// The squared errors with `scales`, and the scales that are best for the levels that these give.
    fn try_and_refit(&self, values: &Values, scales: &Lanes) -> (Lanes, Lanes) {
        let inverse = scales.map(f32::recip);
        let [mut errors, mut products, mut squares] = [[0.0; LANES]; 3];
        for value in values {
            for lane in 0..LANES {
                let level = nearest(self.clamp(value[lane] * inverse[lane]));
                let error = value[lane] - scales[lane] * level;
                errors[lane] += error * error;
                products[lane] += value[lane] * level;
                squares[lane] += level * level;
            }
        }
        let refit = |lane: usize| if squares[lane] > 0.0 { products[lane] / squares[lane] } else { scales[lane] };
        (errors, from_fn(|lane| storable_scale(refit(lane))))
    }

    fn squared_errors(&self, values: &Values, scales: &Lanes) -> Lanes {
        let inverse = scales.map(f32::recip);
        let mut errors = [0.0; LANES];
        for value in values {
            for lane in 0..LANES {
                let level = nearest(self.clamp(value[lane] * inverse[lane]));
                let error = value[lane] - scales[lane] * level;
                errors[lane] += error * error;
            }
        }
        errors
    }
}

/// `values ≈ scale · code + min`. Padding takes no part, and has the code whose level is next to zero.
fn asymmetric(values: &Values, count: usize) -> Blocks {
    let given = &values[..count];
    let lowest = fold(given, [f32::INFINITY; LANES], f32::min);
    let highest = fold(given, [f32::NEG_INFINITY; LANES], f32::max);
    let span: Lanes = from_fn(|lane| if count == 0 { 0.0 } else { highest[lane] - lowest[lane] });
    let mut best = Best::new();
    for steps in SPAN_STEPS {
        let scales = from_fn(|lane| storable_scale(span[lane] / steps));
        let clipped = |lane: usize| (span[lane] - HIGHEST_CODE * span[lane] / steps).max(0.0);
        let mins = from_fn(|lane| storable_min(lowest[lane] + clipped(lane) / 2.0));
        best.offer(&line_errors(given, &scales, &mins), &scales, &mins);
        let (scales, mins) = least_squares_lines(given, &scales, &mins);
        best.offer(&line_errors(given, &scales, &mins), &scales, &mins);
    }
    let inverse = best.scales.map(f32::recip);
    let is_constant = |lane: usize| span[lane] == 0.0;
    let code = |value: &Lanes, lane: usize| {
        let code = low_bits(((value[lane] - best.mins[lane]) * inverse[lane]).clamp(0.0, HIGHEST_CODE)) & 0xF;
        if is_constant(lane) { 0 } else { code }
    };
    let constant = given.first().copied().unwrap_or_default();
    Blocks {
        codes: from_fn(|index| from_fn(|lane| code(&values[index], lane))),
        scales: from_fn(|lane| if is_constant(lane) { 0.0 } else { best.scales[lane] }),
        mins: from_fn(|lane| if is_constant(lane) { storable_min(constant[lane]) } else { best.mins[lane] }),
    }
}

fn nearest_code(value: f32, inverse: f32, min: f32) -> f32 {
    nearest(((value - min) * inverse).clamp(0.0, HIGHEST_CODE))
}

fn line_errors(values: &[Lanes], scales: &Lanes, mins: &Lanes) -> Lanes {
    let inverse = scales.map(f32::recip);
    let mut errors = [0.0; LANES];
    for value in values {
        for lane in 0..LANES {
            let code = nearest_code(value[lane], inverse[lane], mins[lane]);
            let error = value[lane] - (scales[lane] * code + mins[lane]);
            errors[lane] += error * error;
        }
    }
    errors
}

/// The lines through the points `(code, value)`, their minima chosen after their scales were rounded to f16; the given
/// ones where all codes are equal. In f64, because an offset that is large against the span cancels.
fn least_squares_lines(values: &[Lanes], scales: &Lanes, mins: &Lanes) -> (Lanes, Lanes) {
    let inverse = scales.map(f32::recip);
    let count = values.len() as f64;
    let point = |value: &Lanes, lane: usize| {
        let code = nearest_code(value[lane], inverse[lane], mins[lane]);
        (f64::from(value[lane]), f64::from(code))
    };
    let [mut value_means, mut code_means, mut covariances, mut variances] = [[0.0; LANES]; 4];
    for value in values {
        for lane in 0..LANES {
            let (value, code) = point(value, lane);
            value_means[lane] += value;
            code_means[lane] += code;
        }
    }
    value_means.iter_mut().chain(&mut code_means).for_each(|mean| *mean /= count);
    for value in values {
        for lane in 0..LANES {
            let (value, code) = point(value, lane);
            let from_mean = code - code_means[lane];
            covariances[lane] += (value - value_means[lane]) * from_mean;
            variances[lane] += from_mean * from_mean;
        }
    }
    let is_line = |lane: usize| variances[lane] != 0.0;
    let slope = |lane: usize| storable_scale((covariances[lane] / variances[lane]) as f32);
    let fitted: Lanes = from_fn(|lane| if is_line(lane) { slope(lane) } else { scales[lane] });
    let offset = |lane: usize| storable_min((value_means[lane] - f64::from(fitted[lane]) * code_means[lane]) as f32);
    (fitted, from_fn(|lane| if is_line(lane) { offset(lane) } else { mins[lane] }))
}

fn fold(values: &[Lanes], start: Lanes, pick: impl Fn(f32, f32) -> f32) -> Lanes {
    values.iter().fold(start, |picked, value| from_fn(|lane| pick(picked[lane], value[lane])))
}

/// The nearest scale of either sign that a GPU reads as written: devices may flush subnormal halves to zero.
fn storable_scale(scale: f32) -> f32 {
    let magnitude = scale.abs().clamp(f16::MIN_POSITIVE.to_f32_const(), f16::MAX.to_f32_const());
    round_to_f16(magnitude).copysign(scale)
}

/// The nearest minimum that a GPU reads as written; unlike a scale it may be zero.
fn storable_min(min: f32) -> f32 {
    if min.abs() < f16::MIN_POSITIVE.to_f32_const() / 2.0 { 0.0 } else { storable_scale(min) }
}

/// The nearest f16 to a number within the range of normal ones, ties to even, by whole numbers: `half`'s conversion asks
/// for the processor's abilities at each number and so makes no vectors.
fn round_to_f16(number: f32) -> f32 {
    /// Bits of the mantissa that f16 does not have.
    const DROPPED: u32 = 13;
    let bits = number.to_bits();
    let is_odd = (bits >> DROPPED) & 1;
    f32::from_bits((bits + (1 << (DROPPED - 1)) - 1 + is_odd) & !((1 << DROPPED) - 1))
}

/// Added to a number of less than 2²² it leaves no bits for a fraction.
const NO_FRACTION: f32 = 1.5 * (1 << 23) as f32;

/// The nearest whole number of `|value| < 2²²`. Unlike [`f32::round`], compilers turn it into vector code on every target.
fn nearest(value: f32) -> f32 {
    (value + NO_FRACTION) - NO_FRACTION
}

/// The nearest whole number of `|value| < 2²²`, of which the lower 22 bits count, as a signed number has them.
fn low_bits(value: f32) -> u32 {
    (value + NO_FRACTION).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_as_f16_rounds_them() {
        let (lowest, highest) = (f16::MIN_POSITIVE.to_f32().to_bits(), f16::MAX.to_f32().to_bits());
        for bits in (lowest..=highest).step_by(97).chain((lowest..=highest).step_by(1 << 12)) {
            let number = f32::from_bits(bits);
            assert_eq!(round_to_f16(number), f16::from_f32(number).to_f32(), "{number}");
        }
    }
}
