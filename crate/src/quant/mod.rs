//! Block formats: how the weights of a linear layer are packed into few bits, on the CPU.
//!
//! Rows are output features, and blocks of [`BLOCK`] values run along the input features. A value is
//! `scale · (code − 8)` in `q4b32`, `scale · code + min` in `q4ab32`, `scale · code` with a signed code in `q8b32`.
//! [`Layout`] counts words, [`encode()`] chooses scales (`fit.rs` does the least squares), [`decode()`] is the
//! reference which every GPU kernel is compared with, and [`decode_columns()`] its quick twin for the CPU.

mod columns;
mod decode;
mod encode;
mod fit;
mod layout;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

pub use columns::decode_columns;
pub use decode::decode;
pub use encode::{Encoded, encode};
pub use layout::Layout;

/// Values a block: they share one scale.
pub const BLOCK: usize = 32;

/// How a tensor is stored. The text names are those of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// 4-bit codes, one scale a block: `scale · (code − 8)`.
    Q4B32,
    /// 4-bit codes, one scale and one minimum a block: `scale · code + min`.
    Q4AB32,
    /// Signed 8-bit codes, one scale a block: `scale · code`.
    Q8B32,
    /// Dense half floats.
    F16,
    /// Dense floats.
    F32,
}

impl Format {
    /// Every format, from the smallest on.
    pub const ALL: [Self; 5] = [Self::Q4B32, Self::Q4AB32, Self::Q8B32, Self::F16, Self::F32];

    /// The name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q4B32 => "q4b32",
            Self::Q4AB32 => "q4ab32",
            Self::Q8B32 => "q8b32",
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }

    /// Bits a weight, scales and minima counted, padding not.
    pub fn bits_per_weight(self) -> f32 {
        match self {
            Self::Q4B32 => 4.5,
            Self::Q4AB32 => 5.0,
            Self::Q8B32 => 8.5,
            Self::F16 => 16.0,
            Self::F32 => 32.0,
        }
    }

    /// Whether values are stored as codes in blocks.
    pub fn is_quantized(self) -> bool {
        self.code_bits().is_some()
    }

    /// Whether every block has a minimum beside its scale.
    pub fn has_min(self) -> bool {
        self == Self::Q4AB32
    }

    /// Bits a code; `None` for the dense formats.
    pub fn code_bits(self) -> Option<usize> {
        match self {
            Self::Q4B32 | Self::Q4AB32 => Some(4),
            Self::Q8B32 => Some(8),
            Self::F16 | Self::F32 => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::bad_request("format").expected(format!("one of {names}")).found(format!("{name:?}"))
        })
    }
}
