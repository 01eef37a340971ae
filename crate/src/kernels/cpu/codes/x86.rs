//! The vectors of x86-64.

use std::arch::x86_64::*;

use super::vector::Vector;

/// AVX-512 with VNNI: words of four numbers of 8 bits.
#[derive(Clone, Copy)]
pub struct Vnni(__m512i);

impl Vector for Vnni {
    const LANES: usize = 16;
    type Floats = __m512;

    #[inline(always)]
    unsafe fn splat(number: i32) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(_mm512_set1_epi32(number)) }
    }

    #[inline(always)]
    unsafe fn load(words: *const u32) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(_mm512_loadu_si512(words.cast())) }
    }

    #[inline(always)]
    unsafe fn add_products(self, w: Self, x: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(_mm512_dpbusd_epi32(self.0, w.0, x.0)) }
    }

    #[inline(always)]
    unsafe fn raise(self, number: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(_mm512_add_epi32(_mm512_slli_epi32::<8>(self.0), number.0)) }
    }

    #[inline(always)]
    unsafe fn splat_float(number: f32) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm512_set1_ps(number) }
    }

    #[inline(always)]
    unsafe fn load_floats(numbers: *const f32) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm512_loadu_ps(numbers) }
    }

    #[inline(always)]
    unsafe fn store(numbers: Self::Floats, to: *mut f32) {
        // SAFETY: as the caller says.
        unsafe { _mm512_storeu_ps(to, numbers) }
    }

    #[inline(always)]
    unsafe fn multiply(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn floats(self) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm512_cvtepi32_ps(self.0) }
    }
}

/// AVX2 with FMA: words of two numbers of 16 bits.
#[derive(Clone, Copy)]
pub struct Avx2(__m256i);

impl Vector for Avx2 {
    const LANES: usize = 8;
    type Floats = __m256;

    #[inline(always)]
    unsafe fn splat(number: i32) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(_mm256_set1_epi32(number)) }
    }

    #[inline(always)]
    unsafe fn load(words: *const u32) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(_mm256_loadu_si256(words.cast())) }
    }

    #[inline(always)]
    unsafe fn add_products(self, w: Self, x: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(_mm256_add_epi32(self.0, _mm256_madd_epi16(w.0, x.0))) }
    }

    #[inline(always)]
    unsafe fn raise(self, number: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self(_mm256_add_epi32(_mm256_slli_epi32::<8>(self.0), number.0)) }
    }

    #[inline(always)]
    unsafe fn splat_float(number: f32) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm256_set1_ps(number) }
    }

    #[inline(always)]
    unsafe fn load_floats(numbers: *const f32) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm256_loadu_ps(numbers) }
    }

    #[inline(always)]
    unsafe fn store(numbers: Self::Floats, to: *mut f32) {
        // SAFETY: as the caller says.
        unsafe { _mm256_storeu_ps(to, numbers) }
    }

    #[inline(always)]
    unsafe fn multiply(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn floats(self) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { _mm256_cvtepi32_ps(self.0) }
    }
}
