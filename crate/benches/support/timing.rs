//! How long a kernel takes: as many launches between two waits as take [`SAMPLE_MS`] together, because on a GPU one launch is
//! over before the wait for it is.

use std::time::Instant;

use burn::tensor::Device;

/// A sample lasts at least so long, in milliseconds: a wait takes some hundredths of one.
const SAMPLE_MS: f64 = 20.0;
/// Launches of a sample at most, should a kernel take no time at all.
const MOST_LAUNCHES: usize = 1 << 16;
/// What samples may take together.
const BUDGET_MS: f64 = 6000.0;

/// Something to launch, with what it needs on the device.
pub type Launch = Box<dyn Fn()>;

/// Milliseconds of a launch of each, sample by sample in turn, so that what else the machine does meets all of them. Of so
/// many samples, unless fewer took [`BUDGET_MS`] together.
pub fn medians(runs: &[Launch], samples: usize, device: &Device) -> Vec<f64> {
    let launches: Vec<usize> = runs.iter().map(|run| launches(run, device)).collect();
    let mut times = vec![Vec::new(); runs.len()];
    let start = Instant::now();
    for number in 0..samples {
        if number > 0 && milliseconds(start) > BUDGET_MS {
            break;
        }
        for ((run, &launches), times) in runs.iter().zip(&launches).zip(&mut times) {
            times.push(timed(run, launches, device) / launches as f64);
        }
    }
    times.into_iter().map(median).collect()
}

/// How many launches a sample has. Finding that out compiles the kernel, which takes less than [`BUDGET_MS`], and fills the
/// pools of memory.
fn launches(run: &Launch, device: &Device) -> usize {
    let mut launches = 1;
    if timed(run, launches, device) > BUDGET_MS {
        return launches;
    }
    while launches < MOST_LAUNCHES && timed(run, launches, device) < SAMPLE_MS {
        launches *= 2;
    }
    launches
}

/// Milliseconds from the first launch until the device has nothing left to do.
fn timed(run: &Launch, launches: usize, device: &Device) -> f64 {
    let start = Instant::now();
    (0..launches).for_each(|_| run());
    device.sync().expect("a device that answers");
    milliseconds(start)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
