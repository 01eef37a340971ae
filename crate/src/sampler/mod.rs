//! From noise to latent: the starting noise, the time grid, the ODE solver, and classifier-free guidance.
//!
//! A flow model learns a velocity `v(x, t) = dx/dt` along the line `x_t = t·data + (1 − t)·noise`; t = 0 is noise,
//! t = 1 is data. Sampling draws `x(0)` with [`noise::normal`], lays out times with [`schedule::time_grid`], and lets
//! a [`Solver`] carry x from grid point to grid point. This part knows tensors and a velocity closure, no model:
//!
//! ```text
//! noise ─► x(0) ─► Solver::step (once an interval; calls velocity(x, t)) ─► x(1)
//!                    └─ velocity = model, twice where guided: Guidance::combine(conditional, unconditional)
//! ```
//!
//! [`noise`] and [`schedule`] need no tensors at all, so they can be checked anywhere to the bit.

mod dopri5;
pub mod guidance;
pub mod noise;
mod readback;
pub mod schedule;
pub mod solver;

pub use dopri5::Tolerance;
pub use guidance::{Guidance, GuidedChannels};
pub use readback::ensure_finite;
pub use solver::{Solver, SolverKind};
