//! Compares what was measured with what was asked for.

use serde::Serialize;

use super::{ViewsExpectation, ViewsMeasurement};

/// How well every outline must match the solid for all of them to show it.
const ALIKE: f32 = 0.82;
/// By how much sizes and colours may differ between views of one object.
const SIZES: f32 = 0.08;
const COLOURS: f32 = 0.115;
/// How far a step from one view to the next may be from what it should be, as a part of it.
const STEP: f32 = 0.78;

/// Which of the attributes came out right; what the caption leaves open is absent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ViewsVerdict {
    pub colour: bool,
    pub solid: bool,
    pub material: Option<bool>,
    /// Whether all views show the same object, whichever it is.
    pub same_object: bool,
    /// Whether the views go once around it, in their order.
    pub azimuths: bool,
}

/// Judges one set of views; all is wrong where a view shows no object.
pub fn score(measurement: Option<&ViewsMeasurement>, expectation: &ViewsExpectation) -> ViewsVerdict {
    let right = |holds: &dyn Fn(&ViewsMeasurement) -> bool| measurement.is_some_and(holds);
    let material = expectation.material.as_deref();
    ViewsVerdict {
        colour: right(&|seen| seen.colour == expectation.colour),
        solid: right(&|seen| seen.solid == expectation.solid),
        material: material.map(|material| right(&|seen| seen.material == material)),
        same_object: right(&|seen| {
            seen.likeness >= ALIKE && seen.size_spread <= SIZES && seen.colour_spread <= COLOURS
        }),
        azimuths: right(&|seen| seen.azimuths.len() == expectation.views && goes_round(&seen.azimuths)),
    }
}

/// Whether every step leads on, none much too far, and all of them together once around.
fn goes_round(azimuths: &[f32]) -> bool {
    let next = azimuths.iter().cycle().skip(1);
    let steps: Vec<f32> = azimuths.iter().zip(next).map(|(from, to)| (to - from).rem_euclid(360.0)).collect();
    let whole = 360.0 / azimuths.len() as f32;
    let near = steps.iter().all(|step| (step / whole - 1.0).abs() <= STEP);
    near && (steps.iter().sum::<f32>() - 360.0).abs() < 1.0
}

#[cfg(test)]
mod tests {
    use super::goes_round;

    #[test]
    fn only_one_way_round_is_right() {
        let even: Vec<f32> = (0..8).map(|view| 45.0 * view as f32).collect();
        let uneven = [20.0, 40.0, 110.0, 130.0, 200.0, 230.0, 260.0, 330.0];
        assert!(goes_round(&even) && goes_round(&uneven));
        let backwards: Vec<f32> = even.iter().rev().copied().collect();
        let twice: Vec<f32> = even.iter().map(|azimuth| 2.0 * azimuth).collect();
        assert!(!goes_round(&backwards) && !goes_round(&twice) && !goes_round(&[0.0; 8]));
    }
}
