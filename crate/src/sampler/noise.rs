//! Starting noise that is the same on every platform, bit for bit, from a seed.
//!
//! Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) gives four 32-bit words for
//! each block number; Box-Muller turns each pair of words into two normal numbers. `ln`, `cos` and `sin` are those of
//! the `libm` crate in f64, because the platform's own differ in the last bits. Not compatible with torch's `randn`:
//! a seed names another picture there.

use std::f64::consts::TAU;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Added to the key before every round but the first (the golden ratio and √3 − 1, as fractions of 2³²).
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// `count` independent standard normal numbers, element i depending on `seed`, `stream` and i only.
///
/// The definition, which other programs may rely on:
/// - key = \[seed mod 2³², seed div 2³²\]; counter = \[b mod 2³², b div 2³², stream mod 2³², stream div 2³²\],
///   where b = ⌊i / 4⌋ is the block of element i;
/// - the block's words w₀..w₃ become uniform numbers uₖ = (wₖ + ½)·2⁻³², which lie inside (0, 1);
/// - elements 4b and 4b+1 are √(−2 ln u₀)·cos(2π u₁) and √(−2 ln u₀)·sin(2π u₁), elements 4b+2 and 4b+3 the same
///   from u₂ and u₃; computed in f64, rounded to the nearest f32.
///
/// All values lie within ±6.77. Different streams of one seed share no numbers: give each picture of a batch its own.
pub fn normal(seed: u64, stream: u64, count: usize) -> Vec<f32> {
    let (key, stream) = (words(seed), words(stream));
    let block_count = count.div_ceil(4) as u64;
    let blocks = (0..block_count).flat_map(|block| {
        let [low, high] = words(block);
        let [w0, w1, w2, w3] = philox([low, high, stream[0], stream[1]], key);
        let ([z0, z1], [z2, z3]) = (box_muller(w0, w1), box_muller(w2, w3));
        [z0, z1, z2, z3]
    });
    blocks.take(count).collect()
}

/// The low and the high word.
fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// One block of Philox4x32-10.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
        }
        let [low0, high0] = words(u64::from(MULTIPLIERS[0]) * u64::from(counter[0]));
        let [low1, high1] = words(u64::from(MULTIPLIERS[1]) * u64::from(counter[2]));
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
    }
    counter
}

/// Two normal numbers from two random words.
fn box_muller(radius_word: u32, angle_word: u32) -> [f32; 2] {
    let radius = libm::sqrt(-2.0 * libm::log(uniform(radius_word)));
    let angle = TAU * uniform(angle_word);
    [(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]
}

/// The middle of the word's 2⁻³² wide cell of (0, 1): exact in f64, and never 0, where `ln` has no value.
fn uniform(word: u32) -> f64 {
    (f64::from(word) + 0.5) / (u64::from(u32::MAX) + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    /// kat_vectors of the Random123 distribution, philox4x32 with 10 rounds.
    #[test]
    fn philox_gives_the_published_answers() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox(counter, key), expected, "{counter:08x?} {key:08x?}");
        }
    }

    #[test]
    fn an_element_depends_on_seed_stream_and_index_only() {
        let long = normal(7, 2, 1001);
        assert_eq!(long.len(), 1001);
        assert_eq!(normal(7, 2, 6), long[..6]);
        assert!(normal(7, 2, 0).is_empty());
        for other in
            [normal(8, 2, 1001), normal(7, 3, 1001), normal(7 | 1 << 32, 2, 1001), normal(7, 2 | 1 << 32, 1001)]
        {
            let equal = long.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(equal < 3, "{equal} of 1001 numbers are shared");
        }
    }

    #[test]
    fn the_bits_are_golden() {
        let bits = |seed, stream, count| normal(seed, stream, count).into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(1, 0, 8), GOLDEN_SEED_1);
        assert_eq!(bits(0xDEAD_BEEF_CAFE_F00D, 3 << 32 | 5, 5), GOLDEN_WIDE);

        let bytes: Vec<u8> = normal(1, 0, 65_536).into_iter().flat_map(f32::to_le_bytes).collect();
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, GOLDEN_HASH);
    }

    /// Standard errors at 2²⁰ samples are 0.001 (mean), 0.0014 (variance), 0.0024 (skewness), 0.0048 (kurtosis);
    /// the limits are five of them. The numbers are fixed, so the test cannot fail by chance.
    #[test]
    fn the_moments_are_those_of_a_normal_distribution() {
        let samples = normal(20_240_505, 0, 1 << 20);
        let moment = |power| samples.iter().map(|&z| f64::from(z).powi(power)).sum::<f64>() / samples.len() as f64;
        for (power, expected, limit) in [(1, 0.0, 0.005), (2, 1.0, 0.007), (3, 0.0, 0.019), (4, 3.0, 0.05)] {
            let found = moment(power);
            assert!((found - expected).abs() < limit, "moment {power}: {found}");
        }
        let beyond_two = samples.iter().filter(|z| z.abs() > 2.0).count() as f64 / samples.len() as f64;
        assert!((beyond_two - 0.0455).abs() < 0.001, "share beyond two sigma: {beyond_two}");
        let neighbours = samples.windows(2).map(|pair| f64::from(pair[0] * pair[1])).sum::<f64>();
        assert!((neighbours / samples.len() as f64).abs() < 0.005, "neighbours are correlated");
    }

    #[test]
    fn the_extreme_words_stay_finite() {
        for word in [0, u32::MAX] {
            for z in box_muller(word, word) {
                assert!(z.is_finite() && z.abs() < 6.78, "{z}");
            }
        }
    }

    // From an independent implementation in Python.
    const GOLDEN_SEED_1: [u32; 8] =
        [0x3ec2_c3e3, 0xbe97_b1bc, 0xbe7f_370c, 0xbf80_7dbd, 0x3f20_7fa8, 0xbf22_4cc3, 0xbf2d_a335, 0xbf81_aca0];
    const GOLDEN_WIDE: [u32; 5] = [0x4000_64a4, 0x3f04_dadb, 0xbf6c_5250, 0x3f40_ebda, 0xbf56_ae3a];
    const GOLDEN_HASH: &str = "4c2fd4c43de4b38c81c2afce170b7620bad319d74f224cb8407e8b9f8c31f1f4";
}
