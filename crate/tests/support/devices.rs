//! The GPU that tests run on.

use std::env;
use std::sync::OnceLock;

use burn::tensor::wgpu::wgpu::Backend;
use burn::tensor::{Device, DeviceKind};

/// Where this variable is set, tests run on the first real GPU instead, and fail where there is none: what lavapipe computes
/// says little of what a driver does.
const REAL_GPU: &str = "FLAGDIT_TEST_REAL_GPU";

/// wgpu on lavapipe with its name, so that no GPU that happens to be there decides whether tests pass. `cargo xtask test`
/// installs it; where it is missing, tests that need it fail and say so. [`REAL_GPU`] asks for another.
///
/// It is made once a process and never torn down: drivers have crashed there.
pub fn software_gpu() -> (Device, String) {
    static TARGET: OnceLock<(Device, String)> = OnceLock::new();
    TARGET.get_or_init(|| if env::var_os(REAL_GPU).is_some() { real() } else { lavapipe() }).clone()
}

fn lavapipe() -> (Device, String) {
    let options = Device::wgpu_options().tasks_max(32).device_kind(DeviceKind::Cpu);
    let (device, setup) = options.init_with_setup().unwrap_or_else(|error| panic!("expected lavapipe: {error}"));
    let info = setup.adapter.get_info();
    // OpenGL's software adapter is called llvmpipe too.
    let name = format!("{} by {:?}", info.name, info.backend);
    assert!(info.name.contains("llvmpipe") && info.backend == Backend::Vulkan, "expected lavapipe, found {name}");
    (device, format!("wgpu, {name}"))
}

fn real() -> (Device, String) {
    let gpu = pollster::block_on(flagdit::Device::gpu(None));
    let gpu = gpu.unwrap_or_else(|error| panic!("{REAL_GPU} is set: {error}"));
    let name = format!("{} by {}", gpu.name(), gpu.backend());
    assert!(!gpu.is_software(), "{REAL_GPU} is set: expected a real GPU, found {name}");
    println!("on {name}");
    (gpu.burn().clone(), format!("wgpu, {name}"))
}
