//! The GPU that tests run on.

use std::env;
use std::sync::OnceLock;

use burn::tensor::Device;
use flagdit::device::{DeviceInfo, list};

/// Where this variable is set, tests run on the first real GPU instead, and fail where there is none: what lavapipe computes
/// says little of what a driver does.
const REAL_GPU: &str = "FLAGDIT_TEST_REAL_GPU";

/// wgpu on lavapipe with its name, so that no GPU that happens to be there decides whether tests pass. `cargo xtask test`
/// installs it; where it is missing, tests that need it fail and say so. [`REAL_GPU`] asks for another.
///
/// It is made once a process and never torn down: drivers have crashed there.
pub fn software_gpu() -> (Device, String) {
    static TARGET: OnceLock<(Device, String)> = OnceLock::new();
    TARGET.get_or_init(|| if is_real() { real() } else { lavapipe() }).clone()
}

/// Whether tests run on a real GPU, which may make large products of codes in f16.
#[allow(dead_code, reason = "not every test asks")]
pub fn is_real() -> bool {
    env::var_os(REAL_GPU).is_some()
}

fn lavapipe() -> (Device, String) {
    // OpenGL's software adapter is called llvmpipe too.
    let is_lavapipe = |device: &DeviceInfo| device.name.contains("llvmpipe") && device.backend == "vulkan";
    let all = pollster::block_on(list());
    let found = all.iter().find(|device| is_lavapipe(device));
    let index = found.unwrap_or_else(|| panic!("expected lavapipe, found {all:?}")).index;
    let gpu = pollster::block_on(flagdit::Device::gpu(index));
    let gpu = gpu.unwrap_or_else(|error| panic!("expected lavapipe: {error}"));
    (gpu.burn().clone(), format!("wgpu, {} by {}", gpu.name(), gpu.backend()))
}

fn real() -> (Device, String) {
    let gpu = pollster::block_on(flagdit::Device::gpu(None));
    let gpu = gpu.unwrap_or_else(|error| panic!("{REAL_GPU} is set: {error}"));
    let name = format!("{} by {}", gpu.name(), gpu.backend());
    assert!(!gpu.is_software(), "{REAL_GPU} is set: expected a real GPU, found {name}");
    println!("on {name}");
    (gpu.burn().clone(), format!("wgpu, {name}"))
}
