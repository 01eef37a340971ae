//! Vectors of 32-bit lanes, as processors have them, with the one instruction that products of small whole numbers want.

/// Lanes of 32 bits. A lane is a number, or a word of small ones, four of 8 bits or two of 16.
pub trait Vector: Copy {
    /// How many lanes there are.
    const LANES: usize;
    /// As many lanes of f32.
    type Floats: Copy;

    /// # Safety
    /// Of this and all that follow: the processor has the instructions, and pointers lead to as many numbers as are read or
    /// written there.
    unsafe fn splat(number: i32) -> Self;

    unsafe fn load(words: *const u32) -> Self;

    /// Adds to each lane the sum of the products of the small numbers of its word of `w`, of which those of 8 bits have no
    /// sign, and of its word of `x`, which have one.
    unsafe fn add_products(self, w: Self, x: Self) -> Self;

    /// 256 times itself, and `number`.
    unsafe fn raise(self, number: Self) -> Self;

    unsafe fn splat_float(number: f32) -> Self::Floats;

    unsafe fn load_floats(numbers: *const f32) -> Self::Floats;

    unsafe fn store(numbers: Self::Floats, to: *mut f32);

    unsafe fn multiply(a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// a · b + c.
    unsafe fn multiply_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;

    /// The numbers as f32.
    unsafe fn floats(self) -> Self::Floats;
}

/// What every processor computes, as well as the compiler can arrange it.
#[derive(Clone, Copy)]
pub struct Plain([i32; 4]);

impl Vector for Plain {
    const LANES: usize = 4;
    type Floats = [f32; 4];

    #[inline(always)]
    unsafe fn splat(number: i32) -> Self {
        Self([number; 4])
    }

    #[inline(always)]
    unsafe fn load(words: *const u32) -> Self {
        // SAFETY: as the caller says.
        Self(unsafe { words.cast::<[i32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn add_products(self, w: Self, x: Self) -> Self {
        let pair = |word: i32| [i32::from(word as i16), word >> 16];
        let lane = |lane: usize| {
            let ([w0, w1], [x0, x1]) = (pair(w.0[lane]), pair(x.0[lane]));
            self.0[lane] + w0 * x0 + w1 * x1
        };
        Self([lane(0), lane(1), lane(2), lane(3)])
    }

    #[inline(always)]
    unsafe fn raise(self, number: Self) -> Self {
        Self(std::array::from_fn(|lane| (self.0[lane] << 8) + number.0[lane]))
    }

    #[inline(always)]
    unsafe fn splat_float(number: f32) -> Self::Floats {
        [number; 4]
    }

    #[inline(always)]
    unsafe fn load_floats(numbers: *const f32) -> Self::Floats {
        // SAFETY: as the caller says.
        unsafe { numbers.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(numbers: Self::Floats, to: *mut f32) {
        // SAFETY: as the caller says.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(numbers) }
    }

    #[inline(always)]
    unsafe fn multiply(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    unsafe fn floats(self) -> Self::Floats {
        self.0.map(|number| number as f32)
    }
}
