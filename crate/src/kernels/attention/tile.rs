//! How attention is divided.

use super::super::shader::FEW_LANES;

/// What a workgroup makes of the result, and whether its invocations help each other. High tiles read the least for what
/// they multiply, low ones leave enough workgroups to fill a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 8 queries an invocation, which shares nothing: for a processor that plays GPU, on which barriers take long.
    Apart,
    /// 32 queries a workgroup, 4 for every 8 invocations, which read keys together.
    Low,
    /// 64 queries a workgroup, 8 for every 8 invocations, which read keys together.
    High,
}

/// Vectors of four in the widest head that the shaders take.
pub(super) const MAX_VECTORS: usize = 32;
/// In the widest head where an invocation keeps its queries: processors take seconds to compile what is written out.
const MAX_VECTORS_APART: usize = 18;
/// Workgroups that keep most GPUs busy.
const FULL: usize = 256;

impl Tile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Apart, Self::Low, Self::High];

    /// The best one for so many heads, of all of a batch, with so many queries each and `vectors` vectors of four, at most
    /// [`MAX_VECTORS`], on a device whose subgroups have so many lanes.
    pub(super) fn for_shape(heads: usize, rows: usize, vectors: usize, lanes: u32) -> Self {
        match lanes <= FEW_LANES && Self::Apart.takes(vectors) {
            true => Self::Apart,
            false if heads * rows.div_ceil(Self::High.rows()) >= FULL => Self::High,
            false => Self::Low,
        }
    }

    /// Whether heads may have so many vectors of four.
    pub fn takes(self, vectors: usize) -> bool {
        let most = if self == Self::Apart { MAX_VECTORS_APART } else { MAX_VECTORS };
        (1..=most).contains(&vectors)
    }

    /// Queries of a workgroup where invocations read keys together, else of an invocation.
    pub(super) fn rows(self) -> usize {
        match self {
            Self::Apart => 8,
            Self::Low => 32,
            Self::High => 64,
        }
    }

    /// Invocations of a workgroup.
    pub(super) fn threads(self) -> usize {
        if self == Self::Apart { FEW_LANES as usize } else { 64 }
    }

    /// Of so many vectors of a key, those that are brought into workgroup memory at once: equal parts where that leaves at
    /// least half of what there is room for.
    pub(super) fn chunk(self, vectors: usize) -> usize {
        let most = vectors.min(if self == Self::High { 8 } else { 16 });
        (most.div_ceil(2)..=most).rev().find(|&chunk| vectors.is_multiple_of(chunk)).unwrap_or(most)
    }

    /// Keys that one launch walks along. Software adapters end a shader without a word after 65 535 rounds of its loops
    /// together, and systems end what keeps a GPU busy for seconds.
    pub(super) fn max_keys(self) -> usize {
        match self {
            // Four keys are one round, and two for each of at most 18 vectors where loops are not written out.
            Self::Apart => 1 << 12,
            // 32 keys are at most 120 rounds.
            Self::Low | Self::High => 1 << 14,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_share_nothing_and_what_is_small_is_divided_further() {
        assert_eq!(Tile::for_shape(12, 272, 16, 8), Tile::Apart);
        assert_eq!(Tile::for_shape(12, 272, MAX_VECTORS_APART + 1, 8), Tile::Low);
        assert_eq!(Tile::for_shape(12, 272, 16, 32), Tile::Low);
        assert_eq!(Tile::for_shape(64, 4096, 18, 32), Tile::High);
    }

    #[test]
    fn parts_of_keys_are_equal_if_not_small() {
        let chunks = |tile: Tile| [1, 16, 17, 18, 24, 31, 32].map(|vectors| tile.chunk(vectors));
        assert_eq!(chunks(Tile::Low), [1, 16, 16, 9, 12, 16, 16]);
        assert_eq!(chunks(Tile::High), [1, 8, 8, 6, 8, 8, 8]);
    }

    /// Of all rounds after which software adapters end a shader.
    #[test]
    fn a_launch_has_few_enough_rounds() {
        let most = usize::from(u16::MAX);
        let first_and_last = 2 * Tile::Apart.rows() * (1 + MAX_VECTORS_APART);
        assert!(Tile::Apart.max_keys() / 4 * (1 + 2 * MAX_VECTORS_APART) + first_and_last <= most);
        for tile in [Tile::Low, Tile::High] {
            for vectors in 1..=MAX_VECTORS {
                let chunks = vectors.div_ceil(tile.chunk(vectors));
                let brought = chunks * (32 * tile.chunk(vectors)).div_ceil(tile.threads());
                let (lanes, values) = (tile.rows() / 32 * 8, 32);
                let rounds = 1 + chunks + brought + vectors + lanes + values;
                assert!(tile.max_keys() / 32 * rounds + lanes <= most, "{tile:?} of {vectors}: {rounds}");
            }
        }
    }
}
