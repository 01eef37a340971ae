//! The vectors of WebAssembly.

use std::arch::wasm32::*;

use super::vector::Vector;

/// SIMD128: words of two numbers of 16 bits.
#[derive(Clone, Copy)]
pub struct Simd128(v128);

impl Vector for Simd128 {
    const LANES: usize = 4;
    type Floats = v128;

    #[inline(always)]
    unsafe fn splat(number: i32) -> Self {
        Self(i32x4_splat(number))
    }

    #[inline(always)]
    unsafe fn load(words: *const u32) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(v128_load(words.cast())) }
    }

    #[inline(always)]
    unsafe fn add_products(self, w: Self, x: Self) -> Self {
        Self(i32x4_add(self.0, i32x4_dot_i16x8(w.0, x.0)))
    }

    #[inline(always)]
    unsafe fn raise(self, number: Self) -> Self {
        Self(i32x4_add(i32x4_shl(self.0, 8), number.0))
    }

    #[inline(always)]
    unsafe fn splat_float(number: f32) -> Self::Floats {
        f32x4_splat(number)
    }

    #[inline(always)]
    unsafe fn load_floats(numbers: *const f32) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { v128_load(numbers.cast()) }
    }

    #[inline(always)]
    unsafe fn store(numbers: Self::Floats, to: *mut f32) {
        // SAFETY: as the caller says.
        unsafe { v128_store(to.cast(), numbers) }
    }

    #[inline(always)]
    unsafe fn multiply(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        f32x4_add(f32x4_mul(a, b), c)
    }

    #[inline(always)]
    unsafe fn floats(self) -> Self::Floats {
        f32x4_convert_i32x4(self.0)
    }
}
