//! Where the numbers are computed: a GPU through wgpu, or the CPU through Burn's Flex backend.
//!
//! `auto` takes a real GPU if there is one, else the CPU: a software adapter (a "GPU" that the CPU imitates) is many
//! times slower than the CPU backend. Only an explicit `gpu` accepts one, with a [`warning`](Device::warning).

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use burn::tensor::DeviceKind;
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
    fn is_real_gpu(self) -> bool {
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

/// One device of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceInfo {
    /// What the driver calls it.
    pub name: String,
    /// The graphics API, or `flex` for the CPU.
    pub backend: String,
    /// What sort of device it is.
    pub kind: Kind,
    /// N of `gpu:N`; none for the CPU.
    pub index: Option<usize>,
    /// What [`Device::parse`] takes for it.
    pub select: String,
    /// What it can do; none for the CPU, which has no such limits.
    pub abilities: Option<Abilities>,
    /// Whether `auto` takes it.
    pub chosen_by_auto: bool,
    /// Why `auto` takes it or not.
    pub why: String,
}

/// A device that tensors can live on.
#[derive(Debug, Clone)]
pub struct Device {
    burn: burn::tensor::Device,
    name: String,
    kind: Kind,
    warning: Option<String>,
}

impl Device {
    /// A real GPU if there is one, else the CPU. A GPU that cannot be opened is passed over, with a warning.
    ///
    /// # Errors
    /// None so far; the browser's will be of the kind `unsupported`.
    pub async fn auto() -> Result<Self> {
        let Some(adapter) = adapters().await.into_iter().find(|adapter| adapter.kind.is_real_gpu()) else {
            return Ok(Self::cpu());
        };
        Ok(match open(&adapter).await {
            Ok(device) => device,
            Err(error) => Self { warning: Some(format!("{error}; using the CPU instead")), ..Self::cpu() },
        })
    }

    /// The CPU, through Burn's Flex backend.
    pub fn cpu() -> Self {
        Self { burn: burn::tensor::Device::flex(), name: cpu_name(), kind: Kind::Cpu, warning: None }
    }

    /// GPU number `index` of [`list`], or the first; a software adapter too, with a warning.
    ///
    /// # Errors
    /// `webgpu-unavailable` if there is no such GPU, or it cannot be opened.
    pub async fn gpu(index: Option<usize>) -> Result<Self> {
        let adapters = adapters().await;
        let Some(adapter) = adapters.get(index.unwrap_or(0)) else {
            let subject = index.map_or("device gpu".into(), |index| format!("device gpu:{index}"));
            let known: Vec<_> = adapters.iter().map(|adapter| format!("{}: {}", adapter.select(), adapter.name)).collect();
            let expected = if known.is_empty() { "a GPU".into() } else { format!("one of {}", known.join(", ")) };
            let found = if known.is_empty() { "none that answers" } else { "no such GPU" };
            return Err(Error::new(ErrorKind::WebgpuUnavailable, subject)
                .expected(expected)
                .found(found)
                .remedy("the device cpu is always there"));
        };
        let mut device = open(adapter).await?;
        if device.is_software() {
            let name = &device.name;
            device.warning = Some(format!("{name} is a software adapter: the device cpu is many times faster"));
        }
        Ok(device)
    }

    /// The device that a text names: `auto`, `gpu`, `gpu:N` or `cpu`.
    ///
    /// # Errors
    /// `bad-request` for another text, and those of [`Self::gpu`].
    pub async fn parse(text: &str) -> Result<Self> {
        match text {
            "auto" => Self::auto().await,
            "cpu" => Ok(Self::cpu()),
            "gpu" => Self::gpu(None).await,
            _ => match text.strip_prefix("gpu:").and_then(|index| index.parse().ok()) {
                Some(index) => Self::gpu(Some(index)).await,
                None => Err(Error::bad_request("device")
                    .expected("auto, gpu, gpu:N or cpu")
                    .found(format!("{text:?}"))),
            },
        }
    }

    /// As Burn knows it.
    pub fn burn(&self) -> &burn::tensor::Device {
        &self.burn
    }

    /// What the driver calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What sort of device it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is a GPU interface that the CPU imitates.
    pub fn is_software(&self) -> bool {
        self.kind == Kind::Software
    }

    /// What the user should know about this choice.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

/// Every device of this machine, the GPUs first and the CPU last.
pub async fn list() -> Vec<DeviceInfo> {
    let adapters = adapters().await;
    let chosen = adapters.iter().position(|adapter| adapter.kind.is_real_gpu());
    let mut devices: Vec<_> = adapters.into_iter().map(|adapter| adapter.describe(chosen)).collect();
    let why = match chosen {
        None if devices.is_empty() => "no GPU was found",
        None => "no real GPU was found, and the CPU is faster than a software adapter",
        Some(_) => "there is a GPU",
    };
    devices.push(DeviceInfo {
        name: cpu_name(),
        backend: "flex".into(),
        kind: Kind::Cpu,
        index: None,
        select: "cpu".into(),
        abilities: None,
        chosen_by_auto: chosen.is_none(),
        why: why.into(),
    });
    devices
}

/// A GPU that was found, and how Burn selects it.
#[derive(Debug, Clone)]
struct Adapter {
    name: String,
    backend: Backend,
    kind: Kind,
    index: usize,
    selector: DeviceKind,
    abilities: Abilities,
}

impl Adapter {
    fn select(&self) -> String {
        format!("gpu:{}", self.index)
    }

    fn describe(self, chosen: Option<usize>) -> DeviceInfo {
        let why = match chosen {
            Some(index) if index == self.index => "the best real GPU",
            _ if self.kind == Kind::Software => "a software adapter, slower than the CPU itself",
            _ => "another GPU comes first",
        };
        DeviceInfo {
            backend: self.backend.to_str().into(),
            kind: self.kind,
            index: Some(self.index),
            select: self.select(),
            abilities: Some(self.abilities),
            chosen_by_auto: chosen == Some(self.index),
            why: why.into(),
            name: self.name,
        }
    }
}

/// The GPUs that Burn can open, the best first. A driver that panics counts as none.
async fn adapters() -> Vec<Adapter> {
    AssertUnwindSafe(enumerate()).catch_unwind().await.unwrap_or_default()
}

/// The adapters of the graphics API that Burn takes by itself: the first that reaches a real GPU, else the first that
/// reaches anything (`settle` in cubecl-wgpu 0.11.3, `runtime.rs`).
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

fn graphics_apis() -> &'static [Backend] {
    if cfg!(target_family = "wasm") {
        &[Backend::BrowserWebGpu]
    } else if cfg!(target_os = "macos") {
        &[Backend::Metal]
    } else {
        &[Backend::Vulkan, Backend::Dx12, Backend::Gl]
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
/// unknown (OpenGL's, and a browser's only one) it can name the first alone.
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

async fn open(adapter: &Adapter) -> Result<Device> {
    let Adapter { name, kind, selector, .. } = adapter;
    let opened = || OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = opened().iter().find(|(known, _)| known == selector).map(|(_, device)| device.clone());
    let burn = match known {
        Some(burn) => burn,
        None => {
            let burn = initialize(selector.clone()).await.map_err(|reason| refusal(adapter, reason))?;
            opened().push((selector.clone(), burn.clone()));
            burn
        }
    };
    Ok(Device { burn, name: name.clone(), kind: *kind, warning: None })
}

/// Drivers and Burn panic where they should refuse; here that is a refusal.
async fn initialize(selector: DeviceKind) -> Result<burn::tensor::Device, String> {
    let options = burn::tensor::Device::wgpu_options().tasks_max(TASKS_MAX).device_kind(selector);
    match AssertUnwindSafe(options.init_async()).catch_unwind().await {
        Ok(device) => device.map_err(|error| error.to_string()),
        Err(_) => Err("its driver panicked".into()),
    }
}

fn refusal(adapter: &Adapter, reason: String) -> Error {
    // Drivers answer in several lines.
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::new(ErrorKind::WebgpuUnavailable, format!("device {} ({})", adapter.select(), adapter.name))
        .expected("a GPU that can be opened")
        .found(reason)
        .remedy("the device cpu is always there")
}

/// What the processor calls itself, where that is easy to learn.
fn cpu_name() -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    format!("{} ({threads} threads)", model.unwrap_or(std::env::consts::ARCH).trim())
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> T {
        pollster::block_on(future)
    }

    #[test]
    fn the_cpu_is_always_there_and_one_device_is_chosen() {
        let devices = now(list());
        assert_eq!(devices.last().map(|device| device.select.as_str()), Some("cpu"));
        assert_eq!(devices.iter().filter(|device| device.chosen_by_auto).count(), 1);
        let chosen = devices.iter().find(|device| device.chosen_by_auto).unwrap();
        assert_eq!(now(Device::auto()).unwrap().name(), chosen.name);
        assert_ne!(chosen.kind, Kind::Software);
    }

    #[test]
    fn names_of_devices_are_understood_or_refused() {
        let cpu = now(Device::parse("cpu")).unwrap();
        assert_eq!((cpu.kind(), cpu.is_software(), cpu.warning()), (Kind::Cpu, false, None));
        for text in ["", "CPU", "gpu:", "gpu:-1", "gpu:x", "cuda"] {
            let error = now(Device::parse(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadRequest, "{text}");
            assert!(error.to_string().contains("auto, gpu, gpu:N or cpu"), "{error}");
        }
    }

    #[test]
    fn a_gpu_that_does_not_exist_is_refused_with_those_that_do() {
        let error = now(Device::parse("gpu:999")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebgpuUnavailable);
        for device in now(list()).iter().filter(|device| device.index.is_some()) {
            assert!(error.to_string().contains(&device.name), "{error}");
        }
    }

    #[test]
    fn what_burn_cannot_name_is_not_offered() {
        assert_eq!(selector(Kind::Discrete, 2), Some(DeviceKind::DiscreteGpu(2)));
        assert_eq!(selector(Kind::Software, 0), Some(DeviceKind::Cpu));
        assert_eq!(selector(Kind::Software, 1), None);
        assert_eq!(selector(Kind::Other, 1), None);
    }
}
