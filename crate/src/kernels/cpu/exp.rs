//! The exponential function without a call or a branch, so that loops over it become vector instructions.

/// ln 2 in two parts: the first has so few bits that its product with a whole number up to 2¹⁰ is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// 1.5 · 2²³: what is added to it is rounded to a whole number, which its lowest bits then are.
pub const ROUNDER: f32 = 12_582_912.0;
/// Below this the result is zero; it would be less than 2e-38, where f32 begins to lose digits.
const LOWEST: f32 = -86.9;
/// Beyond every logarithm of a f32: the result is infinite.
const HIGHEST: f32 = 89.0;

/// eˣ, within 1.2e-7 of itself: x = n ln 2 + r, e^r by the polynomial of `expf` in Cephes
/// (<https://www.netlib.org/cephes/>, single/expf.c), and 2ⁿ by the bits of a f32.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparisons that leave NaN as it is.
    let within = if x > HIGHEST { HIGHEST } else { x };
    let within = if within < LOWEST { LOWEST } else { within };
    let shifted = within * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = (within - n * LN_2_HIGH) - n * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = p * (r * r) + r + 1.0;
    // 2^(n − 1), which is a f32 for every n here, as 2¹²⁸ is not.
    let half = f32::from_bits((shifted.to_bits() << 23).wrapping_add(126 << 23));
    if x < LOWEST { 0.0 } else { power * half * 2.0 }
}

/// x / (1 + e⁻ˣ).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One step of a f32: half for the polynomial, half for the last rounding.
    const TOLERANCE: f64 = f32::EPSILON as f64;

    #[test]
    fn it_is_the_exponential_function() {
        let mut worst = 0.0f64;
        // Every 97th f32 between the bounds, of either sign.
        let numbers =
            (0..=HIGHEST.to_bits()).step_by(97).flat_map(|bits| [1.0, -1.0].map(|sign| sign * f32::from_bits(bits)));
        for x in numbers.filter(|&x| x >= LOWEST) {
            let expected = libm::exp(f64::from(x));
            if expected > f64::from(f32::MAX) {
                assert!(exp(x) == f32::INFINITY || f64::from(exp(x)) / expected > 1.0 - TOLERANCE, "{x}");
                continue;
            }
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < TOLERANCE, "e^{x}: {error:e} off");
            worst = worst.max(error);
        }
        println!("{worst:.2e} off at most");
    }

    #[test]
    fn it_is_defined_everywhere() {
        for (x, expected) in [
            (0.0, 1.0),
            (-0.0, 1.0),
            (f32::NEG_INFINITY, 0.0),
            (f32::MIN, 0.0),
            (-1e9, 0.0),
            (-87.1, 0.0),
            (88.73, f32::INFINITY),
            (1e9, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
        ] {
            assert_eq!(exp(x), expected, "e^{x}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(88.72) < f32::INFINITY && exp(LOWEST) > 0.0);
    }

    #[test]
    fn the_gate_has_both_limits() {
        for x in [-100.0f32, -30.0, -1.5, -1e-3, 0.0, 2e-4, 3.0, 40.0, 1e4] {
            let expected = f64::from(x) / (1.0 + libm::exp(-f64::from(x)));
            let error = (f64::from(silu(x)) - expected).abs();
            assert!(error <= 4.0 * TOLERANCE * expected.abs() + f64::from(f32::MIN_POSITIVE), "{x}: {error:e}");
        }
        assert!(silu(f32::NAN).is_nan());
    }
}
