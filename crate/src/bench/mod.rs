//! How fast a model is on a device: whole generations, or single calls of the denoiser. The command line program and the
//! browser measure with this and print the same [`Report`].
//!
//! The clock runs from the CPU to the CPU: what a step is given is uploaded while it runs, and what comes of it is read
//! back. The first run is not counted. Of the others the median is told, of at least [`LEAST`] steps, unless a step takes
//! so long that fewer must do.

mod call;
mod generation;
mod memory;
mod report;

use serde::Deserialize;
use web_time::Instant;

use crate::{
    device::Device, error::Result, kernels::Stock, progress::LoadProgress, request::Request, weights::ByteSource,
};

pub use call::Call;
pub use report::{Adapter, Report};

/// Steps that are counted at least, if they do not take [`PATIENCE_MS`]; of five the median stays where it is if one was
/// interrupted.
pub const LEAST: usize = 5;
/// Steps that are counted at most.
const MOST: usize = 50;
/// Beyond the least, steps are added for so long, in milliseconds.
const BUDGET_MS: f64 = 2000.0;
/// After so long, in milliseconds, what is counted is enough, if only one step: the longest sequences and the largest models
/// take minutes a step, and next to that interruptions are short.
const PATIENCE_MS: f64 = 20_000.0;

/// What to measure.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// The work whose steps are timed.
    pub work: Work,
    /// Whether one step more is run, in which a GPU's kernels are timed one by one.
    #[serde(default)]
    pub kernels: bool,
    /// Whether Burn's own operations compute instead of our kernels: what these are worth.
    #[serde(default)]
    pub stock: bool,
}

/// The work whose steps are timed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::large_enum_variant, reason = "one lives at a time")]
pub enum Work {
    /// From the prompt to the output; its steps are the solver's. A model that knows labels draws the first one if the
    /// request names none.
    Generation(Request),
    /// Calls of the denoiser alone, which may be all that the model holds; each is a step.
    Denoiser(Call),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The model is read.
    Load(LoadProgress),
    /// What is not counted runs.
    WarmUp,
    /// So many steps are counted, of those that will be at least.
    Steps {
        /// Counted so far.
        done: usize,
        /// [`LEAST`], or more where a run has many steps.
        least: usize,
    },
}

/// Opens the model of `source` on `device` and measures; `progress` hears how far it is.
///
/// # Errors
///
/// Those of opening the model, and of the work: `bad-request` for a size that the model does not make, `device-lost` if the
/// device does not answer; of [`Stock::turn_on`].
pub async fn run(
    source: impl ByteSource + 'static,
    device: Device,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report> {
    let _turned_on = options.stock.then(Stock::turn_on).transpose()?;
    let report = match &options.work {
        Work::Generation(request) => generation::measure(source, device, request, options.kernels, progress).await?,
        Work::Denoiser(call) => call::measure(source, device, call, options.kernels, progress).await?,
    };
    Ok(Report { stock: options.stock, ..report })
}

/// The times of steps, in milliseconds.
#[derive(Debug, Default)]
struct Times {
    /// Opening the model.
    load: f64,
    /// The first one ever, which meets caches that are cold and programs that are not compiled.
    first: f64,
    /// Those that count.
    counted: Vec<f64>,
}

impl Times {
    /// Whether one more run is wanted, if counting began `since`.
    fn wants_more(&self, since: Instant) -> bool {
        self.wants_more_after(milliseconds(since))
    }

    fn wants_more_after(&self, elapsed_ms: f64) -> bool {
        match self.counted.len() {
            0 => true,
            1..LEAST => elapsed_ms < PATIENCE_MS,
            LEAST..MOST => elapsed_ms < BUDGET_MS,
            _ => false,
        }
    }

    fn least(&self) -> f64 {
        self.counted.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        median(self.counted.clone())
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn five_steps_are_counted_unless_they_take_minutes_and_fifty_at_most() {
        let times = |steps| Times { load: 1.0, first: 1.0, counted: vec![1.0; steps] };
        assert!(times(0).wants_more_after(2.0 * PATIENCE_MS) && !times(1).wants_more_after(2.0 * PATIENCE_MS));
        assert!(times(LEAST - 1).wants_more_after(2.0 * BUDGET_MS) && !times(LEAST).wants_more_after(2.0 * BUDGET_MS));
        assert!(times(LEAST).wants_more_after(0.0) && !times(MOST).wants_more_after(0.0));
    }
}
