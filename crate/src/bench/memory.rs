//! How much memory it took, as far as anybody tells.

use crate::device::{Device, Kind};

/// The most memory that this process held at once, in bytes: in a browser the engine's, outside the GPU.
pub fn peak() -> Option<u64> {
    #[cfg(target_family = "wasm")]
    {
        /// Bytes of a page.
        const PAGE: u64 = 64 << 10;
        // It never shrinks, so what there is now is the most that there was.
        Some(core::arch::wasm32::memory_size(0) as u64 * PAGE)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib << 10)
    }
}

/// Bytes that the pools of a GPU have taken of it, pages that are free again included: the most that were in use, and what
/// lay between. Nothing of the CPU, whose memory is this process's.
pub fn on_device(device: &Device) -> Option<u64> {
    if device.kind() == Kind::Cpu {
        return None;
    }
    device.burn().memory_pool_usage().map(|usage| usage.bytes_reserved)
}
