//! Random numbers, each of its own place: the sum of three uniform numbers, which come from a hash of seed, name and
//! place. That is near enough to a normal distribution, and the loop becomes vector code.

use flagdit::weights::header::Dtype;
use flagdit::weights::params::Init;
use half::{bf16, f16, slice::HalfFloatSliceExt};

/// The deviation of norms from one, and of biases, gates and tokens from zero.
const OF_VECTORS: f32 = 0.1;

/// Where the numbers of a tensor lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub mean: f32,
    pub deviation: f32,
}

impl Spread {
    /// As in trained networks: matrices and kernels keep the variance of what they are multiplied with.
    pub fn of(shape: &[usize], init: Init) -> Self {
        let mean = if init == Init::Ones { 1.0 } else { 0.0 };
        let deviation = match shape {
            [] | [_] => OF_VECTORS,
            [_, inputs @ ..] => (inputs.iter().product::<usize>() as f32).sqrt().recip(),
        };
        Self { mean, deviation }
    }
}

/// The numbers of one tensor.
pub struct Numbers {
    seed: u32,
    spread: Spread,
}

impl Numbers {
    pub fn new(name: &str, spread: Spread, seed: u64) -> Self {
        // FNV-1a.
        let mixed = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = name.bytes().chain(seed.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, mixed);
        Self { seed: (hash ^ (hash >> 32)) as u32, spread }
    }

    /// Those from `first` on. No tensor has as many as 2³².
    pub fn fill(&self, first: u64, values: &mut [f32]) {
        let Spread { mean, deviation } = self.spread;
        for (index, value) in values.iter_mut().enumerate() {
            *value = mean + deviation * standard(self.seed, (first as u32).wrapping_add(index as u32));
        }
    }
}

/// Mean 0, deviation 1, within ±3: three uniform numbers have a variance of 1/4 in sum.
fn standard(seed: u32, place: u32) -> f32 {
    let bits = mixed(place ^ seed);
    let more = mixed(bits.wrapping_add(seed));
    let coarse = (bits & 0xFFFF) + (bits >> 16);
    // As signed numbers, which is the conversion that every processor has.
    let sum = coarse as i32 as f32 * (1.0 / 65_536.0) + (more >> 8) as i32 as f32 * (1.0 / 16_777_216.0);
    2.0 * sum - 3.0
}

/// Chris Wellons' `lowbias32`.
fn mixed(mut bits: u32) -> u32 {
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
    bits ^ (bits >> 16)
}

/// `values` as a file has them.
pub fn bytes(values: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F16 => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            bytes_of(&halves, |number| number.to_le_bytes())
        }
        Dtype::BF16 => bytes_of(values, |value| bf16::from_f32(value).to_le_bytes()),
        Dtype::F32 => bytes_of(values, f32::to_le_bytes),
        _ => unreachable!("the entries of `tensors.rs` are of these dtypes"),
    }
}

fn bytes_of<T: Copy, const BYTES: usize>(numbers: &[T], to_bytes: impl Fn(T) -> [u8; BYTES]) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * BYTES];
    let (places, _) = bytes.as_chunks_mut();
    places.iter_mut().zip(numbers).for_each(|(place, number)| *place = to_bytes(*number));
    bytes
}
