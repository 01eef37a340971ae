//! What the tests against upstream's fixtures share: reading them, the devices, and one report of all comparisons.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::weights::params::Params;

mod devices;
pub mod golden;

use golden::{Stored, tensors};

/// ‖found − expected‖ / ‖expected‖ on the GPU: sums in another order, and exp, tanh, sin and cos as the driver has them.
const GPU_RELATIVE: f64 = 1e-3;

/// The weights in `files`, each renamed by `rename`, or left out where that says `None`.
pub fn params(files: &[&str], rename: fn(&str) -> Option<String>, device: &Device) -> Params {
    let all = files.iter().flat_map(|file| tensors(file));
    Params::from_values(
        all.filter_map(|(name, Stored { shape, values })| Some((rename(&name)?, shape, values))),
        device,
    )
}

/// Where a case runs.
#[derive(Clone)]
pub struct Target {
    pub name: String,
    pub device: Device,
    is_gpu: bool,
}

/// Burn's CPU backend.
pub fn cpu() -> Target {
    Target { name: "flex".into(), device: Device::flex(), is_gpu: false }
}

/// wgpu on lavapipe ([`devices::software_gpu`]).
pub fn software_gpu() -> Target {
    let (device, name) = devices::software_gpu();
    Target { name, device, is_gpu: true }
}

/// One fixture on one device. It remembers every tensor that was used and every comparison that failed.
pub struct Case {
    name: &'static str,
    target: Target,
    golden: BTreeMap<String, Stored>,
    unused: RefCell<BTreeSet<String>>,
    failures: RefCell<Vec<String>>,
}

impl Case {
    /// The fixture's `io.safetensors`.
    pub fn new(name: &'static str, target: &Target) -> Self {
        let golden = tensors(&format!("{name}/io.safetensors"));
        let unused = RefCell::new(golden.keys().cloned().collect());
        Self { name, target: target.clone(), golden, unused, failures: RefCell::default() }
    }

    pub fn device(&self) -> &Device {
        &self.target.device
    }

    fn stored(&self, name: &str) -> &Stored {
        self.unused.borrow_mut().remove(name);
        self.golden.get(name).unwrap_or_else(|| panic!("{}: there is no tensor {name}", self.name))
    }

    /// A stored tensor on the device.
    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let Stored { shape, values } = self.stored(name);
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), self.device())
    }

    /// `found` against the stored tensor: on the CPU no number may be off by more than `tolerance`; on the GPU the whole
    /// tensor by no more than [`GPU_RELATIVE`]. A tolerance of 0 asks for equality everywhere.
    pub fn compare<const D: usize>(&self, name: &str, found: Tensor<D>, tolerance: f64) {
        let expected = self.stored(name);
        let shape = found.dims();
        assert_eq!(shape.as_slice(), expected.shape, "{}: shape of {name}", self.name);
        let found: Vec<f32> = found.into_data().iter::<f32>().collect();
        let Errors { largest, relative } = errors(&found, &expected.values);
        let is_close = match tolerance {
            0.0 => largest == 0.0,
            _ if self.target.is_gpu => relative <= GPU_RELATIVE,
            _ => largest <= tolerance,
        };
        let line = format!("{name}: largest error {largest:.2e}, relative error {relative:.2e}");
        println!("{} on {}: {line}", self.name, self.target.name);
        if !is_close {
            let limit =
                if self.target.is_gpu { format!("relative {GPU_RELATIVE:e}") } else { format!("{tolerance:e}") };
            self.failures.borrow_mut().push(format!("{line}; at most {limit}"));
        }
    }

    /// Ends the case: every comparison must have held, and nothing in the fixture may have been passed over.
    pub fn finish(self) {
        let Self { name, target, failures, unused, .. } = self;
        let failures = failures.into_inner();
        assert!(failures.is_empty(), "{name} on {}:\n{}", target.name, failures.join("\n"));
        assert!(unused.borrow().is_empty(), "{name}: never looked at {:?}", unused.borrow());
    }
}

struct Errors {
    largest: f64,
    relative: f64,
}

fn errors(found: &[f32], expected: &[f32]) -> Errors {
    let difference = |(a, b): (&f32, &f32)| f64::from(*a) - f64::from(*b);
    let norm = |squares: &mut dyn Iterator<Item = f64>| squares.map(|x| x * x).sum::<f64>().sqrt();
    // NaN must win, which f64::max does not let it.
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    let largest = found.iter().zip(expected).map(|pair| difference(pair).abs()).fold(0.0, larger);
    let of_difference = norm(&mut found.iter().zip(expected).map(difference));
    let of_expected = norm(&mut expected.iter().map(|x| f64::from(*x)));
    Errors { largest, relative: of_difference / of_expected.max(f64::MIN_POSITIVE) }
}
