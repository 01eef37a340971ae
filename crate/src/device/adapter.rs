//! The GPUs of this machine, as wgpu enumerates them, and how Burn opens one.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use burn::tensor::DeviceKind;
use burn::tensor::wgpu::WgpuBackend;
use burn::tensor::wgpu::wgpu::{AdapterInfo, Backend, DeviceType, Features, Instance, InstanceDescriptor};
use futures_util::FutureExt as _;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

/// How many kernels Burn gathers before it submits them: 32 was best on real GPUs.
const TASKS_MAX: usize = 32;

/// What sort of device something is, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU that a host lends to a virtual machine.
    Virtual,
    /// A GPU of which the driver does not say more.
    Other,
    /// A GPU interface that the CPU imitates.
    Software,
    /// The CPU itself.
    Cpu,
}

impl Kind {
    /// As `flagdit devices` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
            Self::Cpu => "cpu",
        }
    }

    /// Whether `auto` takes it in preference to the CPU.
    pub(super) fn is_real_gpu(self) -> bool {
        self < Self::Software
    }

    fn of(device_type: DeviceType) -> Self {
        match device_type {
            DeviceType::DiscreteGpu => Self::Discrete,
            DeviceType::IntegratedGpu => Self::Integrated,
            DeviceType::VirtualGpu => Self::Virtual,
            DeviceType::Cpu => Self::Software,
            DeviceType::Other => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an adapter can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Abilities {
    /// The largest buffer, in bytes.
    pub max_buffer: u64,
    /// The largest part of a buffer that a shader sees at once, in bytes.
    pub max_binding: u64,
    /// Half floats in shaders.
    pub f16: bool,
    /// Exchange between the invocations of a subgroup.
    pub subgroups: bool,
    /// Times measured on the device.
    pub timestamp: bool,
}

/// A GPU that was found, and how Burn selects it.
#[derive(Debug, Clone)]
pub(super) struct Adapter {
    pub name: String,
    pub backend: Backend,
    pub kind: Kind,
    /// N of `gpu:N`.
    pub index: usize,
    pub abilities: Abilities,
    selector: DeviceKind,
}

impl Adapter {
    /// What [`Device::parse`](super::Device::parse) takes for it.
    pub fn select(&self) -> String {
        format!("gpu:{}", self.index)
    }

    /// # Errors
    /// `webgpu-unavailable` if the driver or Burn refuses.
    pub async fn open(&self) -> Result<burn::tensor::Device> {
        let opened = || OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = opened().iter().find(|(known, _)| *known == self.selector).map(|(_, device)| device.clone());
        if let Some(device) = known {
            return Ok(device);
        }
        let device = self.initialize().await.map_err(|reason| self.refusal(&reason))?;
        opened().push((self.selector.clone(), device.clone()));
        Ok(device)
    }

    /// Drivers and Burn panic where they should refuse; here that is a refusal.
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

    fn refusal(&self, reason: &str) -> Error {
        // Drivers answer in several lines.
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Error::new(ErrorKind::WebgpuUnavailable, format!("device {} ({})", self.select(), self.name))
            .expected("a GPU that can be opened")
            .found(reason)
            .remedy("the device cpu is always there")
    }
}

/// The GPUs that Burn can open, the best first. A driver that panics counts as none.
pub(super) async fn adapters() -> Vec<Adapter> {
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
    let adapters = Instance::new(descriptor).enumerate_adapters(backend.into()).await;
    let mut counts = [0; 6];
    let mut found = Vec::new();
    for adapter in adapters {
        let AdapterInfo { name, device_type, .. } = adapter.get_info();
        let kind = Kind::of(device_type);
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
        found.push(Adapter { name, backend, kind, index: 0, selector, abilities });
    }
    found.sort_by_key(|adapter| adapter.kind);
    found.iter_mut().enumerate().for_each(|(index, adapter)| adapter.index = index);
    found
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

/// What was opened in this process: Burn opens an adapter once.
static OPENED: Mutex<Vec<(DeviceKind, burn::tensor::Device)>> = Mutex::new(Vec::new());

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
