//! Stored floats → f32. The loops are plain enough that the compiler makes vectors of them.

use half::bf16;

use crate::error::Result;
use crate::weights::checkpoint::file::LocalFile;
use crate::weights::header::Dtype;

/// Reads f32 from a file: so many bytes from an offset on.
pub(super) type ReadF32 = fn(&LocalFile, u64, u64) -> Result<Vec<f32>>;

/// What reads numbers of `dtype`, or `None` for integers.
pub(super) fn reader(dtype: Dtype) -> Option<ReadF32> {
    match dtype {
        Dtype::F64 => Some(|file, offset, bytes| {
            Ok(numbers(&file.read(offset, bytes)?, |number| f64::from_le_bytes(number) as f32))
        }),
        Dtype::F32 => Some(read_f32),
        Dtype::F16 => Some(|file, offset, bytes| {
            Ok(numbers(&file.read(offset, bytes)?, |number| f32_from_f16(u16::from_le_bytes(number))))
        }),
        Dtype::BF16 => Some(|file, offset, bytes| {
            Ok(numbers(&file.read(offset, bytes)?, |number| bf16::from_le_bytes(number).to_f32()))
        }),
        Dtype::U32 | Dtype::I64 | Dtype::I32 | Dtype::I16 | Dtype::I8 | Dtype::U8 | Dtype::Bool => None,
    }
}

/// Without a second piece of memory of the same size: most of the time would go into getting it.
fn read_f32(file: &LocalFile, offset: u64, bytes: u64) -> Result<Vec<f32>> {
    let mut numbers = vec![0f32; file.check(offset, bytes)? / size_of::<f32>()];
    file.fill(offset, bytemuck::cast_slice_mut(&mut numbers))?;
    if cfg!(target_endian = "big") {
        numbers.iter_mut().for_each(|number| *number = f32::from_bits(number.to_bits().swap_bytes()));
    }
    Ok(numbers)
}

fn numbers<const BYTES: usize>(bytes: &[u8], number: impl Fn([u8; BYTES]) -> f32) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(|bytes| number(*bytes)).collect()
}

/// The same number as `half::f16::to_f32` gives, which asks for the processor's abilities at each and so makes no
/// vectors. All three cases are worked out and one is chosen, which needs no branch.
fn f32_from_f16(bits: u16) -> f32 {
    /// The difference of the exponents' biases, 127 - 15.
    const REBIAS: u32 = 112 << 23;
    /// The mantissa of a subnormal number counts these.
    const SMALLEST: f32 = 1.0 / (1 << 24) as f32;
    /// Infinity; above it are what is not a number.
    const INFINITY: u32 = 0x7C00;
    const SMALLEST_NORMAL: u32 = 0x0400;
    const QUIET: u32 = 1 << 22;

    let magnitude = u32::from(bits) & 0x7FFF;
    let sign = (u32::from(bits) & 0x8000) << 16;
    let normal = (magnitude << 13) + REBIAS;
    let subnormal = (magnitude as f32 * SMALLEST).to_bits();
    let endless = normal + REBIAS;
    let finite = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
    let number = if magnitude < INFINITY { finite } else { endless };
    let quiet = if magnitude > INFINITY { QUIET } else { 0 };
    f32::from_bits(sign | number | quiet)
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    /// What is read of a file of these bytes.
    fn read(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        std::fs::write(&path, bytes).unwrap();
        let read = reader(dtype).expect("floats");
        read(&LocalFile::open(&path).unwrap(), 0, bytes.len() as u64).unwrap()
    }

    #[test]
    fn every_half_float_becomes_what_it_is() {
        let halves: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let (half, brain) = (read(Dtype::F16, &halves), read(Dtype::BF16, &halves));
        assert_eq!((half.len(), brain.len()), (1 << 16, 1 << 16));
        for bits in 0..=u16::MAX {
            let place = usize::from(bits);
            assert_eq!(half[place].to_bits(), f16::from_bits(bits).to_f32().to_bits(), "{bits:#x}");
            assert_eq!(brain[place].to_bits(), bf16::from_bits(bits).to_f32().to_bits(), "{bits:#x}");
        }
    }

    #[test]
    fn wide_floats_are_rounded_and_integers_are_not_read() {
        let single = [1.5f32, -0.0, f32::MIN_POSITIVE, f32::INFINITY];
        let bytes: Vec<u8> = single.iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(read(Dtype::F32, &bytes), single);
        let double: Vec<u8> = [0.1f64, -1e300].iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(read(Dtype::F64, &double), [0.1, f32::NEG_INFINITY]);
        assert!(reader(Dtype::I64).is_none() && reader(Dtype::Bool).is_none());
    }
}
