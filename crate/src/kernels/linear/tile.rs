//! How a product is divided.

/// What an invocation makes of y, and how many of them stand beside each other in a workgroup. Large tiles read the least
/// for what they multiply, small ones leave enough workgroups to fill a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 8 rows × 16 columns, 8 × 8 invocations: for a processor that plays GPU, with few lanes and much cache.
    Widest,
    /// 8 rows × 8 columns, 8 × 8 invocations.
    Wide,
    /// 8 rows × 4 columns, 8 × 8 invocations.
    Narrow,
    /// 4 rows × 4 columns, 64 invocations side by side: for the few rows of conditions and labels.
    Flat,
}

/// Workgroups that keep most GPUs busy, and the cores of a processor.
const FULL: usize = 64;
const FULL_OF_CORES: usize = 12;
/// Lanes of a processor that plays GPU, at most.
const FEW_LANES: u32 = 8;

impl Tile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Widest, Self::Wide, Self::Narrow, Self::Flat];

    /// The best one for y `[m, n]` on a device whose subgroups have so many lanes.
    pub(super) fn for_shape(m: usize, n: usize, lanes: u32) -> Self {
        let fills = |tile: Self, full: usize| tile.workgroups(m, n).iter().product::<usize>() >= full;
        match lanes <= FEW_LANES {
            _ if m <= Self::Flat.rows() => Self::Flat,
            true if fills(Self::Widest, FULL_OF_CORES) => Self::Widest,
            true => Self::Wide,
            false if fills(Self::Wide, FULL) => Self::Wide,
            false => Self::Narrow,
        }
    }

    /// Rows of y that an invocation makes, a multiple of 4.
    pub(super) fn rows(self) -> usize {
        if self == Self::Flat { 4 } else { 8 }
    }

    /// Columns of y that an invocation makes, a multiple of 4.
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Widest => 16,
            Self::Wide => 8,
            Self::Narrow | Self::Flat => 4,
        }
    }

    /// Invocations of a workgroup along the rows and along the columns of y.
    pub(super) fn side(self) -> [usize; 2] {
        if self == Self::Flat { [1, 64] } else { [8, 8] }
    }

    /// As many as cover y `[m, n]`.
    pub(super) fn workgroups(self, m: usize, n: usize) -> [usize; 3] {
        let [down, across] = self.side();
        [n.div_ceil(across * self.columns()), m.div_ceil(down * self.rows()), 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_divided_further() {
        let lanes = 32;
        assert_eq!(Tile::for_shape(2, 1152, lanes), Tile::Flat);
        assert_eq!(Tile::for_shape(144, 192, lanes), Tile::Narrow);
        assert_eq!(Tile::for_shape(8192, 2304, lanes), Tile::Wide);
        assert_eq!(Tile::for_shape(144, 192, 8), Tile::Wide);
        assert_eq!(Tile::for_shape(544, 384, 8), Tile::Widest);
        assert_eq!(Tile::Widest.workgroups(65, 129), [2, 2, 1]);
    }
}
