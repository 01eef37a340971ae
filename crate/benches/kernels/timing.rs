//! How long a kernel takes: as many launches between two waits as take [`SAMPLE_MS`] together, because on a GPU one launch is
//! over before the wait for it is.

use std::time::Instant;

use burn::tensor::Device;

/// A sample lasts at least so long, in milliseconds: a wait takes some hundredths of one.
const SAMPLE_MS: f64 = 20.0;
/// Launches of a sample at most, should a kernel take no time at all.
const MOST_LAUNCHES: usize = 1 << 16;
/// Samples that are counted, unless fewer took [`BUDGET_MS`] together.
const SAMPLES: usize = 11;
const BUDGET_MS: f64 = 6000.0;

/// Something to launch, with what it needs on the device.
pub type Launch = Box<dyn Fn()>;

/// A kernel at one shape.
pub struct Case {
    pub name: String,
    /// Floating point operations, if they are what it is made of.
    pub flops: Option<f64>,
    /// Makes the operands.
    pub prepare: Box<dyn Fn(&Device) -> Launches>,
}

/// Ours, and Burn's if there is one that does the same.
pub struct Launches {
    pub ours: Launch,
    pub burns: Option<Launch>,
}

impl Case {
    pub fn new(name: impl Into<String>, prepare: impl Fn(&Device) -> Launches + 'static) -> Self {
        Self { name: name.into(), flops: None, prepare: Box::new(prepare) }
    }

    /// With so many floating point operations.
    pub fn of(self, flops: f64) -> Self {
        Self { flops: Some(flops), ..self }
    }

    /// Measures and prints a line.
    pub fn report(&self, device: &Device) {
        let Launches { ours, burns } = (self.prepare)(device);
        let runs: Vec<Launch> = [Some(ours), burns].into_iter().flatten().collect();
        let medians = medians(&runs, device);
        let speed =
            |ms: Option<&f64>| ms.zip(self.flops).map_or("-".into(), |(ms, flops)| format!("{:.1}", flops / ms / 1e6));
        let time = |ms: Option<&f64>| ms.map_or("-".into(), |ms| format!("{ms:.3}"));
        let [ours, burns] = [medians.first(), medians.get(1)];
        let ratio = ours.zip(burns).map_or("-".into(), |(ours, burns)| format!("{:.2}", ours / burns));
        let (speeds, times) = ([ours, burns].map(speed), [ours, burns].map(time));
        println!("{:<52} {:>10} {:>9} {:>10} {:>9} {ratio:>6}", self.name, times[0], speeds[0], times[1], speeds[1]);
    }
}

/// What stands above the lines.
pub fn header() {
    println!("{:<52} {:>10} {:>9} {:>10} {:>9} {:>6}", "", "ours, ms", "GFLOP/s", "Burn, ms", "GFLOP/s", "ratio");
}

/// Milliseconds of a launch of each, sample by sample in turn, so that what else the machine does meets all of them.
fn medians(runs: &[Launch], device: &Device) -> Vec<f64> {
    let launches: Vec<usize> = runs.iter().map(|run| launches(run, device)).collect();
    let mut samples = vec![Vec::new(); runs.len()];
    let start = Instant::now();
    for number in 0..SAMPLES {
        if number > 0 && milliseconds(start) > BUDGET_MS {
            break;
        }
        for ((run, &launches), samples) in runs.iter().zip(&launches).zip(&mut samples) {
            samples.push(timed(run, launches, device) / launches as f64);
        }
    }
    samples.into_iter().map(median).collect()
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
