//! How a product is divided.

use super::super::shader::FEW_LANES;

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
    /// Through workgroup memory: 8 rows × 8 columns, 16 × 16 invocations.
    Large,
    /// Through workgroup memory: 8 rows × 8 columns, 8 × 8 invocations.
    Square,
    /// Through workgroup memory: 4 rows × 4 columns, 8 × 8 invocations.
    Small,
}

/// What is known of a device that divides a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hardware {
    /// Lanes of a subgroup, at most.
    pub lanes: u32,
    /// Whether it multiplies f16.
    pub has_half: bool,
}

/// What numbers are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// f32.
    Full,
    /// f16, summed up in it over 16 features and in f32 from there on. The error is about 7·10⁻⁴ of the result.
    Half,
    /// 8-bit integers, summed up exactly over a block of 32 features and in f32 from there on: codes of W as they are, and x
    /// by blocks with a scale each. The error is that of x, about 5·10⁻³ of the result. Nothing chooses it, so browsers need
    /// not download its shader.
    #[cfg(not(target_family = "wasm"))]
    Int8,
}

impl Arithmetic {
    /// All of them.
    const ALL: &[Self] = &[
        Self::Full,
        Self::Half,
        #[cfg(not(target_family = "wasm"))]
        Self::Int8,
    ];
}

/// How a product is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// How it is divided.
    pub tile: Tile,
    /// What is multiplied.
    pub arithmetic: Arithmetic,
}

/// Workgroups that keep a large GPU busy (one with 132 multiprocessors was measured), and the cores of a processor.
const FULL: usize = 200;
const FULL_OF_CORES: usize = 12;

impl Tile {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Widest, Self::Wide, Self::Narrow, Self::Flat, Self::Large, Self::Square, Self::Small];

    /// The best one for y `[m, n]` on a device whose subgroups have so many lanes.
    fn for_shape(m: usize, n: usize, lanes: u32) -> Self {
        let fills = |tile: Self, full: usize| tile.workgroups(m, n).iter().product::<usize>() >= full;
        match lanes <= FEW_LANES {
            _ if m <= Self::Flat.rows() => Self::Flat,
            true if fills(Self::Widest, FULL_OF_CORES) => Self::Widest,
            true => Self::Wide,
            false if fills(Self::Large, FULL) => Self::Large,
            false if fills(Self::Square, FULL) => Self::Square,
            false => Self::Small,
        }
    }

    /// Whether it goes through workgroup memory.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Large | Self::Square | Self::Small)
    }

    /// Rows of y that an invocation makes, a multiple of 4.
    pub(super) fn rows(self) -> usize {
        if matches!(self, Self::Flat | Self::Small) { 4 } else { 8 }
    }

    /// Columns of y that an invocation makes, a multiple of 4.
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Widest => 16,
            Self::Wide | Self::Large | Self::Square => 8,
            Self::Narrow | Self::Flat | Self::Small => 4,
        }
    }

    /// Invocations of a workgroup along the rows and along the columns of y.
    pub(super) fn side(self) -> [usize; 2] {
        match self {
            Self::Flat => [1, 64],
            Self::Large => [16, 16],
            _ => [8, 8],
        }
    }

    /// As many as cover y `[m, n]`.
    pub(super) fn workgroups(self, m: usize, n: usize) -> [usize; 3] {
        let [down, across] = self.side();
        [n.div_ceil(across * self.columns()), m.div_ceil(down * self.rows()), 1]
    }
}

impl Way {
    /// All of them for W quantized or not.
    pub fn all(is_quantized: bool) -> impl Iterator<Item = Self> {
        let ways = |tile| Arithmetic::ALL.iter().map(move |&arithmetic| Self { tile, arithmetic });
        Tile::ALL.into_iter().flat_map(ways).filter(move |way| way.is_there(is_quantized))
    }

    #[cfg_attr(target_family = "wasm", expect(unused_variables, reason = "only 8-bit integers ask for codes"))]
    fn is_there(self, is_quantized: bool) -> bool {
        match self.arithmetic {
            Arithmetic::Full => true,
            Arithmetic::Half => self.tile.is_shared(),
            #[cfg(not(target_family = "wasm"))]
            Arithmetic::Int8 => is_quantized && matches!(self.tile, Tile::Large | Tile::Square),
        }
    }

    /// The best one for y `[m, n]`, W quantized or not. Of codes large products are made in f16, a sixth faster on the GPU that
    /// it was measured on: their own error is larger by far. 8-bit integers are faster by more there, and slower where they
    /// are imitated, which no device tells; so nothing chooses them.
    pub(super) fn for_shape(m: usize, n: usize, is_quantized: bool, hardware: Hardware) -> Self {
        let tile = Tile::for_shape(m, n, hardware.lanes);
        let is_half = is_quantized && hardware.has_half && matches!(tile, Tile::Large | Tile::Square);
        Self { tile, arithmetic: if is_half { Arithmetic::Half } else { Arithmetic::Full } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_divided_further() {
        let lanes = 32;
        assert_eq!(Tile::for_shape(2, 1152, lanes), Tile::Flat);
        assert_eq!(Tile::for_shape(144, 192, lanes), Tile::Small);
        assert_eq!(Tile::for_shape(544, 1024, lanes), Tile::Small);
        assert_eq!(Tile::for_shape(544, 2304, lanes), Tile::Square);
        assert_eq!(Tile::for_shape(8192, 2304, lanes), Tile::Large);
        assert_eq!(Tile::for_shape(144, 192, 8), Tile::Wide);
        assert_eq!(Tile::for_shape(544, 384, 8), Tile::Widest);
        assert_eq!(Tile::Widest.workgroups(65, 129), [2, 2, 1]);
    }

    #[test]
    fn f16_is_for_codes_where_there_is_f16() {
        let is_half = |lanes, has_half, is_quantized| {
            Way::for_shape(544, 2304, is_quantized, Hardware { lanes, has_half }).arithmetic == Arithmetic::Half
        };
        assert!(is_half(32, true, true));
        assert!(!is_half(32, true, false) && !is_half(32, false, true) && !is_half(8, true, true));
    }
}
