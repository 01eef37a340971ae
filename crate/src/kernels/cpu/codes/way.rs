//! Which of a processor's instructions multiply.

#[cfg(target_family = "wasm")]
use super::wasm::Simd128;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Vnni};
use super::{
    super::threads::Tile,
    product::{Product, Scratch, multiply_tile},
    rounded::Precision,
    vector::{Plain, Vector},
};

/// Rows of the result whose sums registers hold: AVX-512 has 32 of them, others half as many or less.
#[cfg(target_arch = "x86_64")]
const VNNI_ROWS: usize = 6;
const ROWS: usize = 4;

/// The instructions that multiply small whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// AVX-512 with VNNI: 64 products of 8 bits at a time.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// AVX2: 16 products of 16 bits at a time.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// WebAssembly's SIMD: 8 products of 16 bits at a time.
    #[cfg(target_family = "wasm")]
    Simd128,
    /// What every processor has.
    Plain,
}

impl Way {
    /// Those that this processor can go, the best one first.
    pub fn all() -> impl Iterator<Item = Self> {
        let ways = [
            #[cfg(target_arch = "x86_64")]
            Self::Vnni,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2,
            #[cfg(target_family = "wasm")]
            Self::Simd128,
            Self::Plain,
        ];
        ways.into_iter().filter(|way| way.is_there())
    }

    /// The best one.
    pub fn best() -> Self {
        Self::all().next().unwrap_or(Self::Plain)
    }

    fn is_there(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => {
                use std::arch::is_x86_feature_detected as has;
                has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"),
            #[cfg(target_family = "wasm")]
            Self::Simd128 => true,
            Self::Plain => true,
        }
    }

    /// How x is rounded for codes of so many bits. Where that halves the speed, to no more bits than their own error is worth.
    pub fn precision(self, #[cfg_attr(not(target_arch = "x86_64"), expect(unused))] code_bits: usize) -> Precision {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni if code_bits == 4 => Precision::Bytes,
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => Precision::PairsOfBytes,
            _ => Precision::Shorts,
        }
    }

    /// Columns of the result that are made at a time: as many as two vectors have lanes.
    pub(super) fn columns(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => 2 * Vnni::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 2 * Avx2::LANES,
            #[cfg(target_family = "wasm")]
            Self::Simd128 => 2 * Simd128::LANES,
            Self::Plain => 2 * Plain::LANES,
        }
    }

    /// Rows of the result that are made at a time.
    pub(super) fn rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => VNNI_ROWS,
            _ => ROWS,
        }
    }

    /// A tile of [`Self::columns`] and rows of a multiple of [`Self::rows`], or what is left at the edges.
    pub(super) fn multiply(self, product: &Product, scratch: &mut Scratch, tile: Tile) {
        match (self, product.x.precision()) {
            #[cfg(target_arch = "x86_64")]
            (Self::Vnni, precision) => {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
                fn with_vnni<const PARTS: usize>(product: &Product, scratch: &mut Scratch, tile: Tile) {
                    // SAFETY: the function is compiled for the instructions.
                    unsafe { multiply_tile::<Vnni, 8, PARTS, { 2 * Vnni::LANES }, VNNI_ROWS>(product, scratch, tile) }
                }
                let multiply = if precision == Precision::Bytes { with_vnni::<1> } else { with_vnni::<2> };
                // SAFETY: the processor has them.
                unsafe { multiply(product, scratch, tile) }
            }
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, _) => {
                #[target_feature(enable = "avx2,fma")]
                fn with_avx2(product: &Product, scratch: &mut Scratch, tile: Tile) {
                    // SAFETY: the function is compiled for the instructions.
                    unsafe { multiply_tile::<Avx2, 16, 1, { 2 * Avx2::LANES }, ROWS>(product, scratch, tile) }
                }
                // SAFETY: the processor has them.
                unsafe { with_avx2(product, scratch, tile) }
            }
            #[cfg(target_family = "wasm")]
            // SAFETY: the engine is compiled for the instructions.
            (Self::Simd128, _) => unsafe {
                multiply_tile::<Simd128, 16, 1, { 2 * Simd128::LANES }, ROWS>(product, scratch, tile)
            },
            // SAFETY: every processor has its instructions.
            (Self::Plain, _) => unsafe {
                multiply_tile::<Plain, 16, 1, { 2 * Plain::LANES }, ROWS>(product, scratch, tile)
            },
        }
    }
}
