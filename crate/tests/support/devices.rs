//! The GPU that tests run on.

use std::sync::OnceLock;

use burn::tensor::wgpu::wgpu::Backend;
use burn::tensor::{Device, DeviceKind};

/// wgpu on lavapipe with its name, so that no GPU that happens to be there decides whether tests pass. `cargo xtask test`
/// installs it; where it is missing, tests that need it fail and say so.
///
/// It is made once a process and never torn down: drivers have crashed there.
pub fn software_gpu() -> (Device, String) {
    static TARGET: OnceLock<(Device, String)> = OnceLock::new();
    TARGET.get_or_init(init).clone()
}

fn init() -> (Device, String) {
    let options = Device::wgpu_options().tasks_max(32).device_kind(DeviceKind::Cpu);
    let (device, setup) = options.init_with_setup().unwrap_or_else(|error| panic!("expected lavapipe: {error}"));
    let info = setup.adapter.get_info();
    // OpenGL's software adapter is called llvmpipe too.
    let name = format!("{} by {:?}", info.name, info.backend);
    assert!(info.name.contains("llvmpipe") && info.backend == Backend::Vulkan, "expected lavapipe, found {name}");
    (device, format!("wgpu, {name}"))
}
