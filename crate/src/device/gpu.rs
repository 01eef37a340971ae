//! The GPUs of this machine, as wgpu enumerates them, and how Burn opens one.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::tensor::DeviceKind;
use burn::tensor::wgpu::WgpuBackend;
use burn::tensor::wgpu::wgpu::{self, AdapterInfo, Backend, DeviceType, Features, Instance, InstanceDescriptor};
use futures_util::FutureExt as _;

use super::adapter::{Abilities, Adapter, Kind};

/// How many kernels Burn gathers before it submits them: 32 was best on real GPUs.
const TASKS_MAX: usize = 32;

/// How Burn selects a GPU.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Whether the lanes of its subgroups exchange numbers.
    subgroups: bool,
    backend: Backend,
    selector: DeviceKind,
}

impl Handle {
    /// Opens the GPU, once in a process. Drivers and Burn panic where they should refuse; here that is a refusal.
    pub async fn open(&self) -> Result<burn::tensor::Device, String> {
        let opened = || OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = opened().iter().find(|known| known.selector == self.selector).map(|known| known.device.clone());
        if let Some(device) = known {
            return Ok(device);
        }
        let device = self.initialize().await?;
        let selector = self.selector.clone();
        opened().push(Opened { selector, device: device.clone(), subgroups: self.subgroups });
        Ok(device)
    }

    async fn initialize(&self) -> Result<burn::tensor::Device, String> {
        // Pinned, so that Burn looks where this adapter was found and nowhere else.
        let api = match self.backend {
            Backend::Vulkan => WgpuBackend::Vulkan,
            Backend::Dx12 => WgpuBackend::Dx12,
            Backend::Metal => WgpuBackend::Metal,
            _ => WgpuBackend::Auto,
        };
        let options = burn::tensor::Device::wgpu_options().tasks_max(TASKS_MAX);
        let opening = options.graphics_api(api).device_kind(self.selector.clone()).init_async();
        match AssertUnwindSafe(opening).catch_unwind().await {
            Ok(device) => device.map_err(|error| error.to_string()),
            Err(_) => Err("its driver panicked".into()),
        }
    }
}

/// The GPUs that Burn can open, the best first. A driver that panics counts as none.
pub async fn adapters() -> Vec<Adapter> {
    AssertUnwindSafe(enumerate()).catch_unwind().await.unwrap_or_default()
}

/// The adapters of one graphics API, so that no GPU is listed twice: the first that reaches a real GPU, else the first
/// that reaches anything.
async fn enumerate() -> Vec<Adapter> {
    let mut found = Vec::new();
    for backend in graphics_apis() {
        let adapters = enumerate_on(*backend).await;
        if adapters.iter().any(|adapter| adapter.kind.is_real_gpu()) {
            return adapters;
        }
        if found.is_empty() {
            found = adapters;
        }
    }
    found
}

/// OpenGL is left out: no kernel here is tested on it, and the CPU is always there.
fn graphics_apis() -> &'static [Backend] {
    if cfg!(target_family = "wasm") {
        &[Backend::BrowserWebGpu]
    } else if cfg!(target_os = "macos") {
        &[Backend::Metal]
    } else {
        &[Backend::Vulkan, Backend::Dx12]
    }
}

async fn enumerate_on(backend: Backend) -> Vec<Adapter> {
    let descriptor =
        InstanceDescriptor { backends: backend.into(), ..InstanceDescriptor::new_without_display_handle() };
    let adapters = request(&Instance::new(descriptor), backend).await;
    let mut counts = [0; 6];
    let mut found = Vec::new();
    for adapter in adapters {
        let AdapterInfo { name, device_type, .. } = adapter.get_info();
        let kind = kind_of(device_type);
        let number = counts[kind as usize];
        counts[kind as usize] += 1;
        let Some(selector) = selector(kind, number) else { continue };
        let (limits, features) = (adapter.limits(), adapter.features());
        let abilities = Abilities {
            max_buffer: limits.max_buffer_size,
            max_binding: limits.max_storage_buffer_binding_size,
            f16: features.contains(Features::SHADER_F16),
            subgroups: features.contains(Features::SUBGROUP),
            timestamp: features.contains(Features::TIMESTAMP_QUERY),
        };
        let name = if name.is_empty() { "a GPU without a name".into() } else { name };
        let handle = Handle { subgroups: abilities.subgroups, backend, selector };
        found.push(Adapter { name, api: backend.to_str(), kind, index: 0, abilities, handle });
    }
    found.sort_by_key(|adapter| adapter.kind);
    found.iter_mut().enumerate().for_each(|(index, adapter)| adapter.index = index);
    found
}

/// What the API finds.
#[cfg(not(target_family = "wasm"))]
async fn request(instance: &Instance, backend: Backend) -> Vec<wgpu::Adapter> {
    instance.enumerate_adapters(backend.into()).await
}

/// A browser shows one adapter to whoever asks, and chooses it by these words: Burn's, when it opens one.
#[cfg(target_family = "wasm")]
async fn request(instance: &Instance, _: Backend) -> Vec<wgpu::Adapter> {
    let power_preference = wgpu::PowerPreference::HighPerformance;
    let options = wgpu::RequestAdapterOptions { power_preference, ..Default::default() };
    instance.request_adapter(&options).await.into_iter().collect()
}

fn kind_of(device_type: DeviceType) -> Kind {
    match device_type {
        DeviceType::DiscreteGpu => Kind::Discrete,
        DeviceType::IntegratedGpu => Kind::Integrated,
        DeviceType::VirtualGpu => Kind::Virtual,
        DeviceType::Cpu => Kind::Software,
        DeviceType::Other => Kind::Other,
    }
}

/// How Burn selects number `number` of the adapters of a kind. Of the software adapters and of those whose kind is
/// unknown (a browser's only one) it can name the first alone.
fn selector(kind: Kind, number: usize) -> Option<DeviceKind> {
    match kind {
        Kind::Discrete => Some(DeviceKind::DiscreteGpu(number)),
        Kind::Integrated => Some(DeviceKind::IntegratedGpu(number)),
        Kind::Virtual => Some(DeviceKind::VirtualGpu(number)),
        Kind::Other => (number == 0).then_some(DeviceKind::DefaultDevice),
        Kind::Software => (number == 0).then_some(DeviceKind::Cpu),
        Kind::Cpu => None,
    }
}

/// Whether a shader may let the lanes of a subgroup exchange numbers on this device, which [`Handle::open`] opened: CubeCL asks
/// for that wherever it is, but tells it of real GPUs alone.
pub fn lanes_exchange(device: &DispatchDevice) -> bool {
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.iter().any(|known| known.subgroups && known.device.as_dispatch() == device)
}

/// A GPU that was opened.
struct Opened {
    selector: DeviceKind,
    device: burn::tensor::Device,
    /// As [`Handle`] has it.
    subgroups: bool,
}

/// What was opened in this process: Burn opens an adapter once.
static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_burn_cannot_name_is_not_offered() {
        assert_eq!(selector(Kind::Discrete, 2), Some(DeviceKind::DiscreteGpu(2)));
        assert_eq!(selector(Kind::Software, 0), Some(DeviceKind::Cpu));
        assert_eq!(selector(Kind::Software, 1), None);
        assert_eq!(selector(Kind::Other, 1), None);
    }
}
