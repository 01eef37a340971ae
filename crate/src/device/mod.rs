//! Where the numbers are computed: a GPU through wgpu, or the CPU through Burn's Flex backend.
//!
//! `auto` takes a real GPU if there is one, else the CPU: a software adapter (a "GPU" that the CPU imitates) is many
//! times slower than the CPU backend. Only an explicit `gpu` accepts one, with a [`warning`](Device::warning).

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

mod adapter;
mod capacity;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(not(feature = "gpu"))]
#[path = "no_gpu.rs"]
mod gpu;

use adapter::Adapter;
pub use adapter::{Abilities, Kind};
pub use capacity::Capacity;
use gpu::adapters;
#[cfg(feature = "gpu")]
pub(crate) use gpu::lanes_exchange;

/// The backend of the CPU.
const FLEX: &str = "flex";

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

impl DeviceInfo {
    fn of(adapter: Adapter, chosen: Option<usize>) -> Self {
        let why = match chosen {
            Some(index) if index == adapter.index => "the best real GPU",
            _ if adapter.kind == Kind::Software => "a software adapter, slower than the CPU itself",
            _ => "another GPU comes first",
        };
        Self {
            backend: adapter.api.into(),
            kind: adapter.kind,
            index: Some(adapter.index),
            select: adapter.select(),
            abilities: Some(adapter.abilities),
            chosen_by_auto: chosen == Some(adapter.index),
            why: why.into(),
            name: adapter.name,
        }
    }
}

/// A device that tensors can live on.
#[derive(Debug, Clone)]
pub struct Device {
    burn: burn::tensor::Device,
    name: String,
    backend: &'static str,
    kind: Kind,
    warning: Option<String>,
    capacity: Capacity,
}

impl Device {
    /// A real GPU if there is one, else the CPU. A GPU that cannot be opened is passed over, with a warning.
    ///
    /// # Errors
    /// `unsupported` if there is none and the engine was built without the CPU (feature `cpu`).
    pub async fn auto() -> Result<Self> {
        let Some(adapter) = adapters().await.into_iter().find(|adapter| adapter.kind.is_real_gpu()) else {
            return Self::without_gpu();
        };
        match Self::open(&adapter).await {
            Ok(device) => Ok(device),
            Err(error) => Ok(Self { warning: Some(format!("{error}; using the CPU instead")), ..Self::without_gpu()? }),
        }
    }

    #[cfg(feature = "cpu")]
    fn without_gpu() -> Result<Self> {
        Ok(Self::cpu())
    }

    #[cfg(not(feature = "cpu"))]
    fn without_gpu() -> Result<Self> {
        Err(Error::new(ErrorKind::Unsupported, "device cpu")
            .expected("an engine with the CPU")
            .found("one with GPUs alone"))
    }

    /// The CPU, through Burn's Flex backend.
    #[cfg(feature = "cpu")]
    pub fn cpu() -> Self {
        Self {
            burn: burn::tensor::Device::flex(),
            name: cpu_name(),
            backend: FLEX,
            kind: Kind::Cpu,
            warning: None,
            capacity: Capacity::cpu(),
        }
    }

    /// GPU number `index` of [`list`], or the first; a software adapter too, with a warning.
    ///
    /// # Errors
    /// `webgpu-unavailable` if there is no such GPU, or it cannot be opened.
    pub async fn gpu(index: Option<usize>) -> Result<Self> {
        let adapters = adapters().await;
        let Some(adapter) = adapters.get(index.unwrap_or(0)) else {
            let subject = index.map_or("device gpu".into(), |index| format!("device gpu:{index}"));
            let known: Vec<_> =
                adapters.iter().map(|adapter| format!("{}: {}", adapter.select(), adapter.name)).collect();
            let expected = if known.is_empty() { "a GPU".into() } else { format!("one of {}", known.join(", ")) };
            let found = if known.is_empty() { "none that answers" } else { "no such GPU" };
            return Err(Error::new(ErrorKind::WebgpuUnavailable, subject)
                .expected(expected)
                .found(found)
                .remedy("the device cpu is always there"));
        };
        let mut device = Self::open(adapter).await?;
        if device.is_software() {
            let name = &device.name;
            device.warning = Some(format!("{name} is a software adapter: the device cpu is many times faster"));
        }
        Ok(device)
    }

    /// The device that a text names: `auto`, `gpu`, `gpu:N` or `cpu`.
    ///
    /// # Errors
    /// `bad-request` for another text, and those of [`Self::auto`] and [`Self::gpu`].
    pub async fn parse(text: &str) -> Result<Self> {
        match text {
            "auto" => Self::auto().await,
            "cpu" => Self::without_gpu(),
            "gpu" => Self::gpu(None).await,
            _ => match text.strip_prefix("gpu:").and_then(|index| index.parse().ok()) {
                Some(index) => Self::gpu(Some(index)).await,
                None => {
                    Err(Error::bad_request("device").expected("auto, gpu, gpu:N or cpu").found(format!("{text:?}")))
                }
            },
        }
    }

    async fn open(adapter: &Adapter) -> Result<Self> {
        let burn = adapter.open().await?;
        let Abilities { max_buffer, max_binding, .. } = adapter.abilities;
        let capacity = Capacity::gpu(max_buffer, max_binding);
        Ok(Self { burn, name: adapter.name.clone(), backend: adapter.api, kind: adapter.kind, warning: None, capacity })
    }

    /// The same device with so many bytes of memory, if that is stated, instead of what the system tells or is assumed.
    pub fn within(mut self, memory: Option<u64>) -> Self {
        self.capacity = self.capacity.within(memory);
        self
    }

    /// The same device as if it bound no tensor larger than so many bytes: what other adapters do can be tried on this one.
    pub fn binding(mut self, largest: u64) -> Self {
        self.capacity.max_binding = Some(largest);
        self
    }

    /// How much it can hold.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// As Burn knows it.
    pub fn burn(&self) -> &burn::tensor::Device {
        &self.burn
    }

    /// What the driver calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The graphics API, or `flex` for the CPU.
    pub fn backend(&self) -> &'static str {
        self.backend
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

/// Every device of this machine, the GPUs first and the CPU last, if the engine was built with it.
pub async fn list() -> Vec<DeviceInfo> {
    let adapters = adapters().await;
    let chosen = adapters.iter().position(|adapter| adapter.kind.is_real_gpu());
    let mut devices: Vec<_> = adapters.into_iter().map(|adapter| DeviceInfo::of(adapter, chosen)).collect();
    let why = match chosen {
        None if devices.is_empty() => "no GPU was found",
        None => "no real GPU was found, and the CPU is faster than a software adapter",
        Some(_) => "there is a GPU",
    };
    if !cfg!(feature = "cpu") {
        return devices;
    }
    devices.push(DeviceInfo {
        name: cpu_name(),
        backend: FLEX.into(),
        kind: Kind::Cpu,
        index: None,
        select: "cpu".into(),
        abilities: None,
        chosen_by_auto: chosen.is_none(),
        why: why.into(),
    });
    devices
}

/// What the processor calls itself, where that is easy to learn.
fn cpu_name() -> String {
    if cfg!(target_family = "wasm") {
        return "WebAssembly".into();
    }
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
}
