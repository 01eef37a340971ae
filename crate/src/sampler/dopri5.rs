//! Dormand-Prince 5(4): takes the steps that its error estimate asks for, and interpolates the grid points.
//!
//! Step for step torchdiffeq's adaptive solver with its default options (`_impl/rk_common.py`, `misc.py`, `interp.py`,
//! `dopri5.py` at 657943a, MIT), except that it does not nudge t to the float before a step's end. The last velocity
//! of an accepted step is the first of the next one. Two numbers come back from the device for every step tried.

use burn::tensor::Tensor;

use super::readback::{magnitude, not_finite, read_scalars};
use crate::error::{Error, Result};

/// Times of stages 1..=6 as fractions of the step (stage 0 is the carried velocity).
const STAGE_TIMES: [f64; 6] = [1. / 5., 3. / 10., 4. / 5., 8. / 9., 1., 1.];
/// Weights of the velocities so far in the state of each stage. The last row is the step's result.
const STAGE_WEIGHTS: [&[f64]; 6] = [
    &[1. / 5.],
    &[3. / 40., 9. / 40.],
    &[44. / 45., -56. / 15., 32. / 9.],
    &[19372. / 6561., -25360. / 2187., 64448. / 6561., -212. / 729.],
    &[9017. / 3168., -355. / 33., 46732. / 5247., 49. / 176., -5103. / 18656.],
    &[35. / 384., 0., 500. / 1113., 125. / 192., -2187. / 6784., 11. / 84.],
];
/// Fifth-order result minus the embedded one (Shampine's weights).
const ERROR_WEIGHTS: [f64; 7] = [
    35. / 384. - 1951. / 21600.,
    0.,
    500. / 1113. - 22642. / 50085.,
    125. / 192. - 451. / 720.,
    -2187. / 6784. + 12231. / 42400.,
    11. / 84. - 649. / 6300.,
    -1. / 60.,
];
/// The state in the middle of the step, for the interpolating polynomial.
const MIDDLE_WEIGHTS: [f64; 7] = [
    6025192743. / 30085553152. / 2.,
    0.,
    51252292925. / 65400821598. / 2.,
    -2691868925. / 45128329728. / 2.,
    187940372067. / 1594534317056. / 2.,
    -1776094331. / 19743644256. / 2.,
    11237099. / 235043384. / 2.,
];

const ORDER: f64 = 5.0;
/// The next step is this fraction of the one that would just meet the tolerance.
const SAFETY: f64 = 0.9;
const MAX_GROWTH: f64 = 10.0;
const MAX_SHRINKAGE: f64 = 0.2;
/// Steps tried between two grid points. A useful path takes tens; this many means that the velocity is no smooth
/// function at this tolerance, and nobody should wait for the end.
const MAX_TRIALS: usize = 1000;

/// What dopri5 takes for exact enough: an error of at most `absolute + relative·|x|` a step, in the root mean square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Above 0, in units of the latent.
    pub absolute: f64,
    /// 0 or above.
    pub relative: f64,
}

impl Default for Tolerance {
    /// Lumina's.
    fn default() -> Self {
        Self { absolute: 1e-6, relative: 1e-3 }
    }
}

/// The adaptive solver between two calls.
pub(super) struct Dopri5<const D: usize> {
    tolerance: Tolerance,
    /// None before the first step.
    state: Option<State<D>>,
}

/// After an accepted step from `t0` to `t1`, which may lie beyond the grid point asked for.
#[derive(Clone)]
struct State<const D: usize> {
    t0: f64,
    t1: f64,
    /// Size of the next step.
    dt: f64,
    /// State and velocity at `t1`.
    y: Tensor<D>,
    f: Tensor<D>,
    /// y(t0 + s·(t1 − t0)) = Σ interpolant[p]·sᵖ.
    interpolant: [Tensor<D>; 5],
}

impl<const D: usize> Dopri5<D> {
    pub(super) fn new(tolerance: Tolerance) -> Self {
        Self { tolerance, state: None }
    }

    /// The state at `t`; `y` at `t0` is where the first call starts from, later calls continue their own path.
    pub(super) async fn advance(
        &mut self,
        y: Tensor<D>,
        t0: f64,
        t: f64,
        velocity: &mut impl AsyncFnMut(Tensor<D>, f64) -> Result<Tensor<D>>,
    ) -> Result<Tensor<D>> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.start(y, t0, velocity).await?,
        };
        // Put back before each wait, so that a failure or a dropped future loses nothing.
        for _ in 0..MAX_TRIALS {
            self.state = Some(state.clone());
            if t <= state.t1 {
                return Ok(state.interpolate(t));
            }
            state = self.try_step(state, velocity).await?;
        }
        Err(unreachable_tolerance(state.t1, format!("no end after {MAX_TRIALS} steps")))
    }

    /// The first velocity and a guess at the first step (Hairer, Nørsett and Wanner, Solving ODEs I, II.4).
    async fn start(
        &self,
        y: Tensor<D>,
        t: f64,
        velocity: &mut impl AsyncFnMut(Tensor<D>, f64) -> Result<Tensor<D>>,
    ) -> Result<State<D>> {
        let f = velocity(y.clone(), t).await?;
        let scale = self.scale(y.clone().abs());
        let [d0, d1] =
            read_scalars([mean_square(y.clone() / scale.clone()), mean_square(f.clone() / scale.clone())]).await?;
        let [d0, d1] = [finite(d0, "state", t)?.sqrt(), finite(d1, "velocity", t)?.sqrt()];
        let h0 = if d0 < 1e-5 || d1 < 1e-5 { 1e-6 } else { 0.01 * d0 / d1 };

        let probe = velocity(y.clone() + f.clone().mul_scalar(h0), t + h0).await?;
        let [d2] = read_scalars([mean_square((probe - f.clone()) / scale)]).await?;
        let d2 = finite(d2, "velocity", t + h0)?.sqrt() / h0;
        let h1 = if d1 <= 1e-15 && d2 <= 1e-15 {
            f64::max(1e-6, h0 * 1e-3)
        } else {
            libm::pow(0.01 / d1.max(d2), 1.0 / ORDER)
        };
        let dt = f64::min(100.0 * h0, h1);
        Ok(State { t0: t, t1: t, dt, interpolant: std::array::from_fn(|_| y.clone()), y, f })
    }

    /// One step of size `dt`: accepted, or the same state with a smaller `dt`.
    async fn try_step(
        &self,
        state: State<D>,
        velocity: &mut impl AsyncFnMut(Tensor<D>, f64) -> Result<Tensor<D>>,
    ) -> Result<State<D>> {
        let (t0, dt) = (state.t1, state.dt);
        let t1 = t0 + dt;
        if t1 <= t0 {
            return Err(unreachable_tolerance(t0, format!("a step of {dt:e}")));
        }
        let mut slopes = vec![state.f.clone()];
        let mut y = state.y.clone();
        for (time, weights) in STAGE_TIMES.into_iter().zip(STAGE_WEIGHTS) {
            y = state.y.clone() + weighted_sum(&slopes, weights, dt);
            slopes.push(velocity(y.clone(), t0 + time * dt).await?);
        }

        let scale = self.scale(state.y.clone().abs().max_pair(y.clone().abs()));
        let error = weighted_sum(&slopes, &ERROR_WEIGHTS, dt) / scale;
        // The result is read too: an infinite one would make the scale infinite and the error vanish.
        let [error, size] = read_scalars([mean_square(error), magnitude(y.clone())]).await?;
        let [error_ratio, _] = [finite(error, "velocity", t1)?.sqrt(), finite(size, "state", t1)?];

        let next_dt = dt * step_factor(error_ratio);
        if error_ratio > 1.0 {
            return Ok(State { dt: next_dt, ..state });
        }
        let interpolant = interpolant(&state.y, &y, &slopes, dt);
        let f = slopes.swap_remove(6);
        Ok(State { t0, t1, dt: next_dt, y, f, interpolant })
    }

    /// What an error is measured against.
    fn scale(&self, magnitude: Tensor<D>) -> Tensor<D> {
        magnitude.mul_scalar(self.tolerance.relative).add_scalar(self.tolerance.absolute)
    }
}

impl<const D: usize> State<D> {
    /// The state at `t`, between `t0` and `t1`.
    fn interpolate(&self, t: f64) -> Tensor<D> {
        let s = (t - self.t0) / (self.t1 - self.t0);
        let mut power = 1.0;
        let mut sum = self.interpolant[0].clone();
        for coefficient in &self.interpolant[1..] {
            power *= s;
            sum = sum + coefficient.clone().mul_scalar(power);
        }
        sum
    }
}

/// Coefficients of s⁰..s⁴ of the polynomial through the ends (values and slopes) and the middle (value) of the step.
fn interpolant<const D: usize>(y0: &Tensor<D>, y1: &Tensor<D>, slopes: &[Tensor<D>], dt: f64) -> [Tensor<D>; 5] {
    let middle = y0.clone() + weighted_sum(slopes, &MIDDLE_WEIGHTS, dt);
    let values = [y0.clone(), y1.clone(), middle];
    let ends = [slopes[0].clone(), slopes[6].clone()];
    let combine = |of_ends: [f64; 2], of_values: [f64; 3]| {
        weighted_sum(&ends, &of_ends, dt) + weighted_sum(&values, &of_values, 1.0)
    };
    [
        y0.clone(),
        slopes[0].clone().mul_scalar(dt),
        combine([-4., 1.], [-11., -5., 16.]),
        combine([5., -3.], [18., 14., -32.]),
        combine([-2., 2.], [-8., -8., 16.]),
    ]
}

/// Σ tensors[i]·weights[i]·factor over the weights that are not 0.
fn weighted_sum<const D: usize>(tensors: &[Tensor<D>], weights: &[f64], factor: f64) -> Tensor<D> {
    tensors
        .iter()
        .zip(weights)
        .filter(|&(_, &weight)| weight != 0.0)
        .map(|(tensor, weight)| tensor.clone().mul_scalar(weight * factor))
        .reduce(|sum, term| sum + term)
        .expect("every row of weights has one that is not 0")
}

fn mean_square<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    x.square().mean()
}

/// By how much the next step is longer than a step with this error.
fn step_factor(error_ratio: f64) -> f64 {
    if error_ratio == 0.0 {
        return MAX_GROWTH;
    }
    let least = if error_ratio < 1.0 { 1.0 } else { MAX_SHRINKAGE };
    (SAFETY / libm::pow(error_ratio, 1.0 / ORDER)).max(least).min(MAX_GROWTH)
}

fn finite(value: f64, what: &str, t: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(not_finite(what, t)) }
}

fn unreachable_tolerance(t: f64, found: String) -> Error {
    Error::bad_request(format!("solver dopri5 at t = {t:.4}"))
        .expected("steps that meet its tolerance")
        .found(found)
        .remedy("choose a larger tolerance, or a solver with fixed steps such as midpoint")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_are_consistent() {
        // Sums of fractions that round: a few units in the last place of numbers up to 15.
        const ROUNDING: f64 = 1e-14;
        for (time, weights) in STAGE_TIMES.into_iter().zip(STAGE_WEIGHTS) {
            assert!((weights.iter().sum::<f64>() - time).abs() < ROUNDING, "stage at {time}");
        }
        assert!(ERROR_WEIGHTS.iter().sum::<f64>().abs() < ROUNDING);
        assert!((MIDDLE_WEIGHTS.iter().sum::<f64>() - 0.5).abs() < ROUNDING);
    }

    #[test]
    fn steps_grow_and_shrink_within_bounds() {
        assert_eq!(step_factor(0.0), MAX_GROWTH);
        assert_eq!(step_factor(1e-9), MAX_GROWTH);
        assert_eq!(step_factor(0.99), 1.0);
        assert_eq!(step_factor(1.0), SAFETY);
        assert_eq!(step_factor(1e9), MAX_SHRINKAGE);
    }
}
