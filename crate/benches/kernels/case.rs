//! A kernel at one shape, ours and what else does the same.

use burn::tensor::Device;

use crate::timing::{Launch, medians};

/// Samples that are counted.
const SAMPLES: usize = 11;

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
        let medians = medians(&runs, SAMPLES, device);
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
