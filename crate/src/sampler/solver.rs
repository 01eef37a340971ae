//! ODE solvers that carry x from one point of the time grid to the next, calling `velocity(x, t) = dx/dt`.
//!
//! The caller drives them interval by interval, so that progress, previews and cancelling come in between. The four
//! fixed-step methods are explicit Runge-Kutta methods that never wait for the device; [`SolverKind::Dopri5`] lives in
//! `dopri5.rs`. Same numbers as torchdiffeq 0.2.5 (`fixed_grid.py`, `rk_common.py`).

use std::{fmt, str::FromStr};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::dopri5::{Dopri5, Tolerance};
use crate::error::{Error, Result};

/// A method of integration; its name is the lower-case one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SolverKind {
    /// First order: one velocity an interval.
    Euler,
    /// Second order: the velocity in the middle of the interval. Lumina-Next's default.
    Midpoint,
    /// Second order: the mean of the velocities at both ends (explicit trapezoid; torchdiffeq's `heun2`).
    Heun,
    /// Fourth order: the 3/8 rule, which torchdiffeq calls `rk4`; not the classical method of that name.
    Rk4,
    /// Fifth order with steps of its own choosing (Dormand and Prince); grid points are interpolated.
    Dopri5,
}

impl SolverKind {
    /// All of them, in the order of their cost.
    pub const ALL: [Self; 5] = [Self::Euler, Self::Midpoint, Self::Heun, Self::Rk4, Self::Dopri5];

    /// The name that the command line, requests and manifests use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::Midpoint => "midpoint",
            Self::Heun => "heun",
            Self::Rk4 => "rk4",
            Self::Dopri5 => "dopri5",
        }
    }

    /// How often the velocity is asked for: per interval, or for dopri5 per step tried (plus 2 at the start).
    pub fn stages(self) -> usize {
        match self {
            Self::Euler => 1,
            Self::Midpoint | Self::Heun => 2,
            Self::Rk4 => 4,
            Self::Dopri5 => 6,
        }
    }
}

impl fmt::Display for SolverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SolverKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::bad_request("solver").expected(format!("one of {names}")).found(format!("{name:?}"))
        })
    }
}

/// One solution of dx/dt = velocity(x, t) on its way along the time grid.
pub struct Solver<const D: usize> {
    kind: SolverKind,
    grid: Vec<f64>,
    /// Intervals done: x is the state at `grid[done]`.
    done: usize,
    x: Tensor<D>,
    dopri5: Dopri5<D>,
}

impl<const D: usize> Solver<D> {
    /// A solution that starts as `x` at `grid[0]`; only [`SolverKind::Dopri5`] looks at `tolerance`.
    ///
    /// # Shapes
    /// - x: any; its number type is the one computed in (times and step sizes are f64 throughout)
    ///
    /// # Errors
    /// `bad-request` unless the grid has at least two points, finite and strictly increasing, and the tolerance is
    /// finite with `absolute` > 0 and `relative` ≥ 0.
    pub fn new(kind: SolverKind, grid: Vec<f64>, tolerance: Tolerance, x: Tensor<D>) -> Result<Self> {
        let ordered = grid.is_sorted_by(|a, b| a < b) && grid.iter().all(|t| t.is_finite());
        if grid.len() < 2 || !ordered {
            return Err(Error::bad_request("time grid")
                .expected("two or more increasing finite times")
                .found(format!("{grid:?}")));
        }
        let Tolerance { absolute, relative } = tolerance;
        if !(absolute > 0.0 && absolute.is_finite() && relative >= 0.0 && relative.is_finite()) {
            return Err(Error::bad_request("solver tolerance")
                .expected("absolute above 0 and relative 0 or above, both finite")
                .found(format!("absolute {absolute}, relative {relative}")));
        }
        let dopri5 = Dopri5::new(tolerance);
        Ok(Self { kind, grid, done: 0, x, dopri5 })
    }

    /// How many intervals the grid has: [`Self::step`] works so often.
    pub fn intervals(&self) -> usize {
        self.grid.len() - 1
    }

    /// How many intervals are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// The time that has been reached.
    pub fn time(&self) -> f64 {
        self.grid[self.done]
    }

    /// The state at [`Self::time`].
    pub fn x(&self) -> &Tensor<D> {
        &self.x
    }

    /// Advances over the next interval and returns the state at its end.
    ///
    /// `velocity` is called with a state and its time. Times lie inside the interval, except dopri5's, whose steps may
    /// end behind the grid's last point, above 1, as torchdiffeq's do. Where `velocity` fails or the future is dropped,
    /// the solver keeps what it had, and `step` may be called again.
    ///
    /// # Errors
    /// Those of `velocity`. Besides, `bad-request` when no interval is left; from dopri5 `bad-model` where a velocity
    /// is not finite, `bad-request` where the tolerance cannot be met, `device-lost` where the device does not answer.
    /// The fixed-step methods look at no number; see [`ensure_finite`](super::ensure_finite).
    pub async fn step(
        &mut self,
        velocity: &mut impl AsyncFnMut(Tensor<D>, f64) -> Result<Tensor<D>>,
    ) -> Result<Tensor<D>> {
        let Some(&t1) = self.grid.get(self.done + 1) else {
            return Err(Error::bad_request("solver step")
                .expected(format!("at most {} steps", self.intervals()))
                .found("one more"));
        };
        let t0 = self.time();
        let x = self.x.clone();
        let x = match self.kind {
            SolverKind::Euler => euler(x, t0, t1, velocity).await,
            SolverKind::Midpoint => midpoint(x, t0, t1, velocity).await,
            SolverKind::Heun => heun(x, t0, t1, velocity).await,
            SolverKind::Rk4 => rk4(x, t0, t1, velocity).await,
            SolverKind::Dopri5 => self.dopri5.advance(x, t0, t1, velocity).await,
        }?;
        self.done += 1;
        self.x = x.clone();
        Ok(x)
    }
}

async fn euler<const D: usize>(
    x: Tensor<D>,
    t0: f64,
    t1: f64,
    velocity: &mut impl AsyncFnMut(Tensor<D>, f64) -> Result<Tensor<D>>,
) -> Result<Tensor<D>> {
    let v = velocity(x.clone(), t0).await?;
    Ok(x + v.mul_scalar(t1 - t0))
}

async fn midpoint<const D: usize>(
    x: Tensor<D>,
    t0: f64,
    t1: f64,
    velocity: &mut impl AsyncFnMut(Tensor<D>, f64) -> Result<Tensor<D>>,
) -> Result<Tensor<D>> {
    let half = 0.5 * (t1 - t0);
    let v_start = velocity(x.clone(), t0).await?;
    let v_middle = velocity(x.clone() + v_start.mul_scalar(half), t0 + half).await?;
    Ok(x + v_middle.mul_scalar(t1 - t0))
}

async fn heun<const D: usize>(
    x: Tensor<D>,
    t0: f64,
    t1: f64,
    velocity: &mut impl AsyncFnMut(Tensor<D>, f64) -> Result<Tensor<D>>,
) -> Result<Tensor<D>> {
    let dt = t1 - t0;
    let v_start = velocity(x.clone(), t0).await?;
    let v_end = velocity(x.clone() + v_start.clone().mul_scalar(dt), t1).await?;
    Ok(x + (v_start + v_end).mul_scalar(0.5 * dt))
}

async fn rk4<const D: usize>(
    x: Tensor<D>,
    t0: f64,
    t1: f64,
    velocity: &mut impl AsyncFnMut(Tensor<D>, f64) -> Result<Tensor<D>>,
) -> Result<Tensor<D>> {
    let dt = t1 - t0;
    let third = dt / 3.0;
    let k1 = velocity(x.clone(), t0).await?;
    let k2 = velocity(x.clone() + k1.clone().mul_scalar(third), t0 + third).await?;
    let x3 = x.clone() + k2.clone().mul_scalar(dt) - k1.clone().mul_scalar(third);
    let k3 = velocity(x3, t0 + 2.0 * third).await?;
    let x4 = x.clone() + (k1.clone() - k2.clone() + k3.clone()).mul_scalar(dt);
    let k4 = velocity(x4, t1).await?;
    Ok(x + (k1 + (k2 + k3).mul_scalar(3.0) + k4).mul_scalar(dt / 8.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for kind in SolverKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).ok(), Some(format!("\"{kind}\"")));
        }
        let error = "rk5".parse::<SolverKind>().unwrap_err();
        assert_eq!(error.to_string(), "solver: expected one of euler, midpoint, heun, rk4, dopri5, found \"rk5\"");
    }
}
