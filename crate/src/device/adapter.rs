//! A GPU that was found: what it is, what it can do, and how it is opened.

use std::fmt;

use serde::Serialize;

use super::gpu::Handle;
use crate::error::{Error, ErrorKind, Result};

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

/// A GPU that was found.
#[derive(Debug, Clone)]
pub(super) struct Adapter {
    pub name: String,
    /// The graphics API.
    pub api: &'static str,
    pub kind: Kind,
    /// N of `gpu:N`.
    pub index: usize,
    pub abilities: Abilities,
    pub handle: Handle,
}

impl Adapter {
    /// What [`Device::parse`](super::Device::parse) takes for it.
    pub fn select(&self) -> String {
        format!("gpu:{}", self.index)
    }

    /// # Errors
    /// `webgpu-unavailable` if the driver or Burn refuses.
    pub async fn open(&self) -> Result<burn::tensor::Device> {
        self.handle.open().await.map_err(|reason| {
            // Drivers answer in several lines.
            let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
            Error::new(ErrorKind::WebgpuUnavailable, format!("device {} ({})", self.select(), self.name))
                .expected("a GPU that can be opened")
                .found(reason)
                .remedy("the device cpu is always there")
        })
    }
}
