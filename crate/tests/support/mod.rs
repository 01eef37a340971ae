//! What the tests against upstream's fixtures share: reading them, the devices, and how far a tensor may be off.

use burn::tensor::Device;
use flagdit::check::{Comparison, Reference, Report};
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

/// What upstream made, in the fixture `case`.
pub fn reference(case: &str) -> Reference {
    Reference::open(&golden::path(case)).unwrap_or_else(|error| panic!("{error}"))
}

/// Everything in the fixture must have been computed. On the CPU no number of a tensor may be off by more than its
/// `tolerance`; on the GPU the whole tensor by no more than [`GPU_RELATIVE`]. A tolerance of 0 asks for equality everywhere.
pub fn verify(case: &str, target: &Target, report: &Report, tolerance: impl Fn(&str) -> f64) {
    let mut failures = Vec::new();
    assert!(!report.comparisons.is_empty(), "{case}: nothing was compared");
    for Comparison { name, largest, relative, .. } in &report.comparisons {
        let (is_close, limit) = match tolerance(name) {
            0.0 => (*largest == 0.0, "0".to_owned()),
            _ if target.is_gpu => (*relative <= GPU_RELATIVE, format!("relative {GPU_RELATIVE:e}")),
            most => (*largest <= most, format!("{most:e}")),
        };
        let line = format!("{name}: largest error {largest:.2e}, relative error {relative:.2e}");
        println!("{case} on {}: {line}", target.name);
        if !is_close {
            failures.push(format!("{line}; at most {limit}"));
        }
    }
    assert!(failures.is_empty(), "{case} on {}:\n{}", target.name, failures.join("\n"));
    assert!(report.not_computed.is_empty(), "{case}: nothing computes {:?}", report.not_computed);
}
