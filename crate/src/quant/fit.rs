//! The codes and the scale of one block, by least squares.
//!
//! Each format tries a few first scales. For the levels that a scale gives, the scale with the least squared error is
//! known in closed form (`Σ v·l / Σ l²`); it is tried as well, and the best of all is kept. The scale from the largest
//! value alone is among the first ones, so the result is never worse than that. Scales are rounded to f16 before they
//! are judged.

use half::f16;

use crate::quant::{BLOCK, Format};

/// One block, as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// The bits of each code: 0..=15, or a signed byte in `q8b32`.
    pub codes: [u8; BLOCK],
    pub scale: f16,
    pub min: f16,
}

/// Symmetric levels `lowest..=highest`, and the largest level that each first scale gives to the largest value.
struct Levels {
    lowest: f32,
    highest: f32,
    /// Whole numbers: a block that was encoded before finds its own scale among them, so encoding again changes nothing.
    largest: [f32; 4],
}

const Q4_LEVELS: Levels = Levels { lowest: -8.0, highest: 7.0, largest: [7.0, 8.0, 6.0, 5.0] };
const Q8_LEVELS: Levels = Levels { lowest: -128.0, highest: 127.0, largest: [127.0, 128.0, 126.0, 125.0] };

/// The highest code of `q4ab32`.
const HIGHEST_CODE: f32 = 15.0;
/// Into how many steps the span of a block is first cut; above 15, both ends are clipped.
const SPAN_STEPS: [f32; 5] = [HIGHEST_CODE, 14.0, 13.0, 16.0, 17.0];

/// The best block for up to [`BLOCK`] finite `values`; the rest of the block is padding.
pub(super) fn fit(values: &[f32], format: Format) -> Block {
    match format {
        Format::Q4B32 => {
            let (scale, levels) = symmetric(values, &Q4_LEVELS);
            Block { codes: levels.map(|level| (level + 8.0) as u8), scale, min: f16::ZERO }
        }
        Format::Q8B32 => {
            let (scale, levels) = symmetric(values, &Q8_LEVELS);
            Block { codes: levels.map(|level| (level as i8) as u8), scale, min: f16::ZERO }
        }
        Format::Q4AB32 => asymmetric(values),
        Format::F16 | Format::F32 => unreachable!("Layout::new refuses dense formats before a block is cut"),
    }
}

/// `values ≈ scale · level`; the levels of padding are zero.
fn symmetric(values: &[f32], levels: &Levels) -> (f16, [f32; BLOCK]) {
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return (f16::ZERO, [0.0; BLOCK]);
    }
    let mut best = (f32::INFINITY, f16::ZERO, [0.0; BLOCK]);
    for first in levels.largest.iter().flat_map(|level| [largest / level, -largest / level]) {
        let first = storable_scale(first);
        let codes = levels.nearest(values, first);
        let refitted = storable_scale(least_squares_scale(values, &codes).unwrap_or(first.to_f32()));
        for (scale, codes) in [(first, codes), (refitted, levels.nearest(values, refitted))] {
            let error = squared_error(values, &codes, scale.to_f32(), 0.0);
            if error < best.0 {
                best = (error, scale, codes);
            }
        }
    }
    (best.1, best.2)
}

impl Levels {
    fn nearest(&self, values: &[f32], scale: f16) -> [f32; BLOCK] {
        let inverse = scale.to_f32().recip();
        let mut levels = [0.0; BLOCK];
        for (level, value) in levels.iter_mut().zip(values) {
            *level = nearest((value * inverse).clamp(self.lowest, self.highest));
        }
        levels
    }
}

/// `Σ v·l / Σ l²`, or `None` where every level is zero.
fn least_squares_scale(values: &[f32], levels: &[f32; BLOCK]) -> Option<f32> {
    let product: f32 = values.iter().zip(levels).map(|(value, level)| value * level).sum();
    let square: f32 = levels.iter().map(|level| level * level).sum();
    (square > 0.0).then(|| product / square)
}

/// `values ≈ scale · code + min`.
fn asymmetric(values: &[f32]) -> Block {
    let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
    let span = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - lowest;
    if values.is_empty() || span == 0.0 {
        let min = storable_min(values.first().copied().unwrap_or(0.0));
        return Block { codes: [0; BLOCK], scale: f16::ZERO, min };
    }
    let mut best = (f32::INFINITY, f16::ZERO, f16::ZERO, [0.0; BLOCK]);
    for steps in SPAN_STEPS {
        let scale = storable_scale(span / steps);
        let clipped = (span - HIGHEST_CODE * span / steps).max(0.0);
        let min = storable_min(lowest + clipped / 2.0);
        let codes = nearest_codes(values, scale, min);
        let (refitted_scale, refitted_min) = least_squares_line(values, &codes).unwrap_or((scale, min));
        let refitted = nearest_codes(values, refitted_scale, refitted_min);
        for (scale, min, codes) in [(scale, min, codes), (refitted_scale, refitted_min, refitted)] {
            let error = squared_error(values, &codes, scale.to_f32(), min.to_f32());
            if error < best.0 {
                best = (error, scale, min, codes);
            }
        }
    }
    Block { codes: best.3.map(|code| code as u8), scale: best.1, min: best.2 }
}

/// The nearest codes; those of padding stand for the level next to zero.
fn nearest_codes(values: &[f32], scale: f16, min: f16) -> [f32; BLOCK] {
    let inverse = scale.to_f32().recip();
    let code = |value: f32| nearest(((value - min.to_f32()) * inverse).clamp(0.0, HIGHEST_CODE));
    let mut codes = [code(0.0); BLOCK];
    for (slot, value) in codes.iter_mut().zip(values) {
        *slot = code(*value);
    }
    codes
}

/// The line through the points `(code, value)`, its minimum chosen after its scale was rounded to f16; `None` where all
/// codes are equal. In f64, because an offset that is large against the span cancels.
fn least_squares_line(values: &[f32], codes: &[f32; BLOCK]) -> Option<(f16, f16)> {
    let count = values.len() as f64;
    let points = || values.iter().zip(codes).map(|(value, code)| (f64::from(*value), f64::from(*code)));
    let value_mean = points().map(|(value, _)| value).sum::<f64>() / count;
    let code_mean = points().map(|(_, code)| code).sum::<f64>() / count;
    let covariance: f64 = points().map(|(value, code)| (value - value_mean) * (code - code_mean)).sum();
    let variance: f64 = points().map(|(_, code)| (code - code_mean).powi(2)).sum();
    if variance == 0.0 {
        return None;
    }
    let scale = storable_scale((covariance / variance) as f32);
    Some((scale, storable_min((value_mean - f64::from(scale.to_f32()) * code_mean) as f32)))
}

fn squared_error(values: &[f32], codes: &[f32; BLOCK], scale: f32, min: f32) -> f32 {
    values.iter().zip(codes).map(|(value, code)| (value - (scale * code + min)).powi(2)).sum()
}

/// The nearest scale of either sign that a GPU reads as written: devices may flush subnormal halves to zero.
fn storable_scale(scale: f32) -> f16 {
    let magnitude = scale.abs().clamp(f16::MIN_POSITIVE.to_f32(), f16::MAX.to_f32());
    f16::from_f32(magnitude.copysign(scale))
}

/// The nearest minimum that a GPU reads as written; unlike a scale it may be zero.
fn storable_min(min: f32) -> f16 {
    if min.abs() < f16::MIN_POSITIVE.to_f32() / 2.0 { f16::ZERO } else { storable_scale(min) }
}

/// The nearest whole number of `|value| < 2²²`, by an addition that leaves no bits for a fraction. Unlike
/// [`f32::round`], compilers turn it into vector code on every target.
fn nearest(value: f32) -> f32 {
    const NO_FRACTION: f32 = 1.5 * (1 << 23) as f32;
    (value + NO_FRACTION) - NO_FRACTION
}
