//! How attention is divided.

/// What a workgroup makes of the result, and whether its invocations help each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 8 queries an invocation, which shares nothing: for a processor that plays GPU, on which barriers take long.
    Apart,
    /// 32 queries a workgroup, 4 a group of invocations that read keys together.
    Shared,
}

/// Vectors of four in the widest head that the shaders take, and in the widest part of a key in workgroup memory.
pub(super) const MAX_VECTORS: usize = 32;
const MAX_CHUNK: usize = 16;
/// In the widest head where an invocation keeps its queries: processors take seconds to compile what is written out.
const MAX_VECTORS_APART: usize = 18;
/// Lanes of a processor that plays GPU, at most.
const FEW_LANES: u32 = 8;

impl Tile {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Apart, Self::Shared];

    /// The best one for heads of `vectors` vectors of four, at most [`MAX_VECTORS`], on a device whose subgroups have so
    /// many lanes.
    pub(super) fn for_heads(vectors: usize, lanes: u32) -> Self {
        if lanes <= FEW_LANES && Self::Apart.takes(vectors) { Self::Apart } else { Self::Shared }
    }

    /// Whether heads may have so many vectors of four.
    pub fn takes(self, vectors: usize) -> bool {
        let most = if self == Self::Apart { MAX_VECTORS_APART } else { MAX_VECTORS };
        (1..=most).contains(&vectors)
    }

    /// Queries of a workgroup where invocations read keys together, else of an invocation.
    pub(super) fn rows(self) -> usize {
        if self == Self::Apart { 8 } else { 32 }
    }

    /// Invocations of a workgroup.
    pub(super) fn threads(self) -> usize {
        if self == Self::Apart { FEW_LANES as usize } else { 64 }
    }

    /// Vectors of the part of a key that is brought into workgroup memory at once.
    pub(super) fn chunk(vectors: usize) -> usize {
        vectors.min(MAX_CHUNK)
    }

    /// Keys that one launch walks along. Software adapters end a shader without a word after 65 535 rounds of its loops
    /// together, and systems end what keeps a GPU busy for seconds.
    pub(super) fn max_keys(self) -> usize {
        match self {
            // Four keys are one round, and two for each of at most 18 vectors where loops are not written out.
            Self::Apart => 1 << 12,
            // 32 keys are at most 91 rounds.
            Self::Shared => 1 << 14,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_share_nothing_while_heads_are_narrow() {
        assert_eq!(Tile::for_heads(16, 8), Tile::Apart);
        assert_eq!(Tile::for_heads(16, 32), Tile::Shared);
        assert_eq!(Tile::for_heads(MAX_VECTORS_APART, 4), Tile::Apart);
        assert_eq!(Tile::for_heads(MAX_VECTORS_APART + 1, 4), Tile::Shared);
    }

    /// Of the rounds after which software adapters end a shader.
    #[test]
    fn a_launch_has_few_enough_rounds() {
        let most = u32::from(u16::MAX) as usize;
        let prologue_and_end = 2 * Tile::Apart.rows() * (1 + MAX_VECTORS_APART);
        assert!(Tile::Apart.max_keys() / 4 * (1 + 2 * MAX_VECTORS_APART) + prologue_and_end <= most);
        // Keys and queries in two parts, lanes, and values.
        assert!(Tile::Shared.max_keys() / 32 * (1 + 2 + 2 * 8 + 32 + 8 + 32) <= most);
    }
}
