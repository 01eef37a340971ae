//! How much a device can hold.

use serde::{Deserialize, Serialize};

/// What a device can hold, as far as it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Whether it is a GPU, which multiplies by matrices of halves as they are; the CPU expands those to f32.
    pub is_gpu: bool,
    /// Bytes that may be taken at once.
    pub memory: u64,
    /// Whether the device told how much there is; a guess otherwise.
    pub is_known: bool,
    /// The largest buffer in bytes, if there is a limit.
    pub max_buffer: Option<u64>,
    /// The largest part of a buffer that a shader sees at once, in bytes, if there is a limit.
    pub max_binding: Option<u64>,
}

/// How large a tensor may get on the CPU where work can be divided: a few of them live at once.
const CPU_TENSOR: u64 = if cfg!(target_family = "wasm") { 128 << 20 } else { 1 << 30 };
/// The same on a GPU, whose memory holds the model too; many allow less.
const GPU_TENSOR: u64 = 256 << 20;
/// What is assumed of a GPU: neither WebGPU nor wgpu tells how much memory there is.
const GPU_MEMORY: u64 = 4 << 30;
/// A WebAssembly module addresses 4 GiB, some of which are the engine's own, or holes.
const WASM_MEMORY: u64 = 3 << 30;
/// Where the system does not tell.
const CPU_MEMORY: u64 = 8 << 30;

impl Capacity {
    /// The CPU's: what the system says is free, or what WebAssembly can address.
    pub fn cpu() -> Self {
        let free = if cfg!(target_family = "wasm") { Some(WASM_MEMORY) } else { free_memory() };
        Self {
            is_gpu: false,
            memory: free.unwrap_or(CPU_MEMORY),
            is_known: free.is_some(),
            max_buffer: None,
            max_binding: None,
        }
    }

    /// A GPU's with these limits.
    pub fn gpu(max_buffer: u64, max_binding: u64) -> Self {
        Self {
            is_gpu: true,
            memory: GPU_MEMORY,
            is_known: false,
            max_buffer: Some(max_buffer),
            max_binding: Some(max_binding),
        }
    }

    /// The same device with so many bytes of memory, if somebody stated that.
    pub fn within(self, memory: Option<u64>) -> Self {
        memory.map_or(self, |memory| Self { memory, is_known: true, ..self })
    }

    /// How large a tensor may get where work can be divided.
    pub fn tensor_bytes(&self) -> u64 {
        let usual = if self.is_gpu { GPU_TENSOR } else { CPU_TENSOR };
        usual.min(self.largest())
    }

    /// The largest thing that a shader can be given.
    pub fn largest(&self) -> u64 {
        [self.max_buffer, self.max_binding].into_iter().flatten().min().unwrap_or(u64::MAX)
    }
}

/// Bytes that programs can still have, where the system tells.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_limit_counts_and_a_stated_memory_is_known() {
        let gpu = Capacity::gpu(1 << 30, 128 << 20);
        assert_eq!((gpu.largest(), gpu.is_known), (128 << 20, false));
        assert_eq!((gpu.within(Some(7)).memory, gpu.within(Some(7)).is_known), (7, true));
        let cpu = Capacity::cpu();
        assert_eq!(cpu.largest(), u64::MAX);
        // No machine that runs this has less than a hundred megabytes free.
        assert!(cpu.memory > 100 << 20, "{cpu:?}");
    }
}
