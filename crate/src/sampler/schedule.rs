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
    fn the_grid_increases_from_zero_to_one() {
        for time_shift in [0.1, 1.0, 3.7, 6.0, 100.0] {
            for steps in [1, 2, 3, 7, 30, 1000] {
                let grid = time_grid(steps, time_shift);
                assert_eq!((grid.len(), grid[0], grid[steps]), (steps + 1, 0.0, 1.0));
                assert!(grid.is_sorted_by(|a, b| a < b), "{steps} steps, shift {time_shift}");
            }
        }
    }
}
