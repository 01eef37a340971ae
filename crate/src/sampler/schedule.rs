//! The times at which the solver stops: a uniform grid over \[0, 1\], shifted towards the noise.

/// `steps` intervals, that is `steps + 1` points from exactly 0 (noise) to exactly 1 (data), strictly increasing:
/// `t / (t + f − f·t)` of uniform t, where f is `time_shift`.
///
/// A shift of 1 leaves the grid uniform; a larger one takes smaller steps near the noise, where the composition of the
/// picture is decided (Lumina's demos use 4; SD3's form `f·u / (1 + (f − 1)·u)` is the same in u = 1 − t). Upstream's
/// `num_sampling_steps = N` counts points: it is our `steps = N − 1`.
///
/// # Panics
///
/// If `steps` is 0 or `time_shift` is not a positive finite number; the request is checked before it comes here.
pub fn time_grid(steps: usize, time_shift: f64) -> Vec<f64> {
    assert!(steps > 0, "a time grid needs at least one step");
    assert!(time_shift.is_finite() && time_shift > 0.0, "the time shift is {time_shift}, not a positive number");
    // t = i / steps with numerator and denominator multiplied by `steps`: the ends come out exact.
    let point = |i: usize| i as f64 / (i as f64 + time_shift * (steps - i) as f64);
    (0..=steps).map(point).collect()
}

/// The grid of diffusers' `FlowMatchEulerDiscreteScheduler` over `steps` intervals, which shifts its smallest noise twice:
/// noise fractions evenly from 1 to σ = f·s/(1 + (f − 1)·s) of s = 1/1000, shifted once more, and 0.
///
/// # Panics
///
/// As [`time_grid`].
pub fn diffusers_grid(steps: usize, time_shift: f64) -> Vec<f64> {
    assert!(steps > 0, "a time grid needs at least one step");
    assert!(time_shift.is_finite() && time_shift > 0.0, "the time shift is {time_shift}, not a positive number");
    const SMALLEST: f64 = 1e-3;
    let smallest = time_shift * SMALLEST / (1.0 + (time_shift - 1.0) * SMALLEST);
    let noise = |i: usize| 1.0 + (smallest - 1.0) * i as f64 / (steps.max(2) - 1) as f64;
    // 1 − the shifted noise, written so that the beginning comes out exact.
    let time = |noise: f64| (1.0 - noise) / (1.0 + (time_shift - 1.0) * noise);
    (0..steps).map(|i| time(noise(i))).chain([1.0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_of_one_is_uniform() {
        assert_eq!(time_grid(1, 1.0), [0.0, 1.0]);
        assert_eq!(time_grid(4, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn a_shift_of_four_spends_its_steps_near_the_noise() {
        let expected = [0.0, 1. / 33., 1. / 15., 1. / 9., 1. / 6., 5. / 21., 1. / 3., 7. / 15., 2. / 3., 1.0];
        for (found, expected) in time_grid(9, 4.0).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{found} instead of {expected}");
        }
    }

    #[test]
    fn diffusers_last_step_is_a_thousandth() {
        // fixtures/diffusers_lumina_next: σ = 1, 0.667, 0.334, 0.001, 0.
        for (found, expected) in diffusers_grid(4, 1.0).into_iter().zip([0.0, 0.333, 0.666, 0.999, 1.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
        }
    }

    #[test]
    fn the_grids_increase_from_zero_to_one() {
        for time_shift in [0.1, 1.0, 3.7, 6.0, 100.0] {
            for steps in [1, 2, 3, 7, 30, 400] {
                for grid in [time_grid(steps, time_shift), diffusers_grid(steps, time_shift)] {
                    assert_eq!((grid.len(), grid[0], grid[steps]), (steps + 1, 0.0, 1.0));
                    assert!(grid.is_sorted_by(|a, b| a < b), "{steps} steps, shift {time_shift}");
                }
            }
        }
    }
}
