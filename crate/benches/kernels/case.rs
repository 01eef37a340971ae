//! A kernel at one shape, ours and Burn's own operations that do the same, as benchmarks of Criterion.

use std::cell::OnceCell;
use std::time::Instant;

use burn::tensor::Device;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Throughput};
use flagdit::kernels::run_on;

/// Something to launch, with what it needs on the device.
pub type Launch = Box<dyn Fn()>;

/// Where it runs.
pub struct Place {
    /// `CPU` or `GPU`, as benchmarks are called there.
    pub name: &'static str,
    pub device: Device,
}

/// A kernel at one shape.
pub struct Case {
    /// The group, which is the kernel's name.
    pub group: &'static str,
    pub shape: String,
    /// Floating point operations of products, else the numbers of the result.
    work: f64,
    has_burns: bool,
    is_for_gpus: bool,
    /// Makes the operands.
    prepare: Box<dyn Fn(&Device) -> Launches>,
}

/// Ours, and Burn's if there is one that does the same.
pub struct Launches {
    pub ours: Launch,
    pub burns: Option<Launch>,
}

impl Case {
    pub fn new(
        group: &'static str,
        shape: impl Into<String>,
        work: f64,
        prepare: impl Fn(&Device) -> Launches + 'static,
    ) -> Self {
        Self { group, shape: shape.into(), work, has_burns: true, is_for_gpus: false, prepare: Box::new(prepare) }
    }

    /// Without Burn's.
    pub fn alone(self) -> Self {
        Self { has_burns: false, ..self }
    }

    /// On GPUs alone: the CPU has no kernel of ours for it.
    pub fn on_gpus(self) -> Self {
        Self { is_for_gpus: true, ..self }
    }

    pub fn runs_on(&self, place: &Place) -> bool {
        !self.is_for_gpus || run_on(&place.device)
    }

    /// Measures it there, as far as it is asked for by name: nothing is made for others.
    pub fn measure(&self, group: &mut BenchmarkGroup<'_, WallTime>, place: &Place) {
        let launches = OnceCell::new();
        let launches = || launches.get_or_init(|| (self.prepare)(&place.device));
        group.throughput(Throughput::Elements(self.work as u64));
        self.measure_one(group, place, "ours", || &launches().ours);
        if self.has_burns {
            self.measure_one(group, place, "Burn", || launches().burns.as_ref().expect("Burn's of a case that has it"));
        }
    }

    /// As many launches between two waits as Criterion asks for: on a GPU one is over before the wait for it is.
    fn measure_one<'a>(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        place: &Place,
        whose: &str,
        launch: impl Fn() -> &'a Launch,
    ) {
        let wait = || place.device.sync().expect("a device that answers");
        let is_warm = OnceCell::new();
        group.bench_function(BenchmarkId::new(format!("{whose}, {}", place.name), &self.shape), |bencher| {
            let launch = launch();
            // The first one compiles the kernel and fills the pools of memory, from which no estimate should be made.
            is_warm.get_or_init(|| {
                launch();
                wait();
            });
            bencher.iter_custom(|times| {
                let start = Instant::now();
                (0..times).for_each(|_| launch());
                wait();
                start.elapsed()
            });
        });
    }
}
