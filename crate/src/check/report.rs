//! What came of the comparisons.

use serde::Serialize;

/// One tensor that was computed, beside the one that was stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// As the reference calls it.
    pub name: String,
    /// The largest |found − expected|.
    pub largest: f64,
    /// ‖found − expected‖ / ‖expected‖.
    pub relative: f64,
    /// The cosine of the angle between both.
    pub cosine: f64,
}

impl Comparison {
    /// Compares as many numbers as both have.
    pub(super) fn new(name: &str, found: &[f32], expected: &[f32]) -> Self {
        let pairs = || found.iter().zip(expected).map(|(&found, &expected)| (f64::from(found), f64::from(expected)));
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        // NaN must win, which f64::max does not let it.
        let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
        let [of_found, of_expected] =
            [norm(&mut pairs().map(|(found, _)| found)), norm(&mut pairs().map(|(_, expected)| expected))];
        let of_difference = norm(&mut pairs().map(|(found, expected)| found - expected));
        let product: f64 = pairs().map(|(found, expected)| found * expected).sum();
        // Where nothing is expected, anything that is found is too much, and nothing is right.
        let ratio = |part: f64, whole: f64, else_: f64| if whole > 0.0 { part / whole } else { else_ };
        Self {
            name: name.to_owned(),
            largest: pairs().map(|(found, expected)| (found - expected).abs()).fold(0.0, larger),
            relative: ratio(
                of_difference,
                of_expected,
                if of_difference > 0.0 { f64::INFINITY } else { of_difference },
            ),
            cosine: ratio(product, of_found * of_expected, if of_difference > 0.0 { 0.0 } else { 1.0 }),
        }
    }

    /// Whether the relative error is at most `tolerance`; a NaN is not.
    pub fn is_within(&self, tolerance: f64) -> bool {
        self.relative <= tolerance
    }
}

/// All comparisons of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// In the order in which they were made.
    pub comparisons: Vec<Comparison>,
    /// Stored tensors that are no inputs and were not computed.
    pub not_computed: Vec<String>,
}

impl Report {
    /// Whether everything was computed, and within `tolerance`.
    pub fn is_good(&self, tolerance: f64) -> bool {
        self.not_computed.is_empty() && self.comparisons.iter().all(|comparison| comparison.is_within(tolerance))
    }

    /// The comparison with the largest relative error.
    pub fn worst(&self) -> Option<&Comparison> {
        let rank =
            |comparison: &Comparison| if comparison.relative.is_nan() { f64::INFINITY } else { comparison.relative };
        self.comparisons.iter().max_by(|a, b| rank(a).total_cmp(&rank(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_what_they_are_called() {
        let Comparison { largest, relative, cosine, .. } = Comparison::new("x", &[3.0, 4.0], &[3.0, 0.0]);
        assert_eq!((largest, relative), (4.0, 4.0 / 3.0));
        assert!((cosine - 0.6).abs() < 1e-12);
    }

    #[test]
    fn neither_nan_nor_something_out_of_nothing_is_within_any_tolerance() {
        for found in [[f32::NAN, 0.0], [1e-20, 0.0]] {
            assert!(!Comparison::new("x", &found, &[0.0, 0.0]).is_within(1.0), "{found:?}");
        }
        let report = |relative| Comparison { name: "x".into(), largest: 0.0, relative, cosine: 1.0 };
        let comparisons = vec![report(0.5), report(f64::NAN), report(0.7)];
        let report = Report { comparisons, not_computed: Vec::new() };
        assert!(report.worst().is_some_and(|worst| worst.relative.is_nan()) && !report.is_good(1.0));
        assert!(Comparison::new("x", &[0.0], &[0.0]).is_within(0.0));
    }
}
