//! How a product is divided.

use burn::tensor::Device;
use cubecl::ir::{ElemType, FloatKind};

use super::super::shader::{FEW_LANES, client};
use crate::device::lanes_exchange;

/// What an invocation makes of y, and how many of them stand beside each other in a workgroup. Large tiles read the least
/// for what they multiply, small ones leave enough workgroups to fill a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 16 rows × 8 columns, 4 × 8 invocations, of which the eight of a subgroup hand rows round: for a processor that plays GPU
    /// and lets its lanes do that. Browsers know of no subgroups.
    #[cfg(not(target_family = "wasm"))]
    Lanes,
    /// The same with 32 rows.
    #[cfg(not(target_family = "wasm"))]
    HighLanes,
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
    /// Lanes of a subgroup, at least and at most.
    pub lanes: [u32; 2],
    /// Whether they exchange numbers.
    pub exchanges: bool,
    /// Whether it multiplies f16.
    pub has_half: bool,
}

impl Hardware {
    /// Of a device that shaders run on.
    pub fn of(device: &Device) -> Self {
        let client = client(device);
        let properties = client.properties();
        let (hardware, half) = (&properties.hardware, ElemType::Float(FloatKind::F16));
        Self {
            lanes: [hardware.plane_size_min, hardware.plane_size_max],
            exchanges: lanes_exchange(device.as_dispatch()),
            has_half: properties.supports_type(half),
        }
    }

    fn is_a_processor(self) -> bool {
        self.lanes[1] <= FEW_LANES
    }

    /// Whether [`Tile::Lanes`] is made for its subgroups.
    fn hands_round(self) -> bool {
        self.exchanges && self.lanes == [FEW_LANES; 2]
    }
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
/// So many that the last ones, which not every core may have work of, take little of all the time.
#[cfg(not(target_family = "wasm"))]
const MANY_OF_CORES: usize = 100;

impl Tile {
    /// All of them.
    pub const ALL: &[Self] = &[
        #[cfg(not(target_family = "wasm"))]
        Self::Lanes,
        #[cfg(not(target_family = "wasm"))]
        Self::HighLanes,
        Self::Widest,
        Self::Wide,
        Self::Narrow,
        Self::Flat,
        Self::Large,
        Self::Square,
        Self::Small,
    ];

    /// The best one for y `[m, n]`.
    fn for_shape(m: usize, n: usize, hardware: Hardware) -> Self {
        let fills = |tile: Self, full: usize| tile.workgroups(m, n).iter().product::<usize>() >= full;
        match hardware.is_a_processor() {
            _ if m <= Self::Flat.rows() => Self::Flat,
            #[cfg(not(target_family = "wasm"))]
            true if hardware.hands_round() && m > Self::Wide.rows() => match fills(Self::HighLanes, MANY_OF_CORES) {
                true => Self::HighLanes,
                false => Self::Lanes,
            },
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

    /// Whether its invocations hand numbers round.
    pub(super) fn hands_round(self) -> bool {
        #[cfg(not(target_family = "wasm"))]
        return matches!(self, Self::Lanes | Self::HighLanes);
        #[cfg(target_family = "wasm")]
        false
    }

    /// Rows of y that an invocation makes, a multiple of 4.
    pub(super) fn rows(self) -> usize {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Lanes => 16,
            #[cfg(not(target_family = "wasm"))]
            Self::HighLanes => 32,
            Self::Flat | Self::Small => 4,
            _ => 8,
        }
    }

    /// Columns of y that an invocation makes, a multiple of 4.
    pub(super) fn columns(self) -> usize {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Lanes | Self::HighLanes => 8,
            Self::Widest => 16,
            Self::Wide | Self::Large | Self::Square => 8,
            Self::Narrow | Self::Flat | Self::Small => 4,
        }
    }

    /// Invocations of a workgroup along the rows and along the columns of y.
    pub(super) fn side(self) -> [usize; 2] {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Lanes | Self::HighLanes => [4, FEW_LANES as usize],
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
    pub(super) fn all(is_quantized: bool) -> impl Iterator<Item = Self> {
        let ways = |&tile: &Tile| Arithmetic::ALL.iter().map(move |&arithmetic| Self { tile, arithmetic });
        Tile::ALL.iter().flat_map(ways).filter(move |way| way.is_there(is_quantized))
    }

    /// Those that a device, on which shaders run, can go.
    pub fn on(device: &Device, is_quantized: bool) -> impl Iterator<Item = Self> {
        let hardware = Hardware::of(device);
        Self::all(is_quantized).filter(move |way| {
            let is_half = way.arithmetic == Arithmetic::Half;
            (hardware.has_half || !is_half) && (hardware.hands_round() || !way.tile.hands_round())
        })
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
        let tile = Tile::for_shape(m, n, hardware);
        let is_half = is_quantized && hardware.has_half && matches!(tile, Tile::Large | Tile::Square);
        Self { tile, arithmetic: if is_half { Arithmetic::Half } else { Arithmetic::Full } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_divided_further() {
        let tile = |m, n, lanes, exchanges| Tile::for_shape(m, n, Hardware { lanes, exchanges, has_half: true });
        assert_eq!(tile(2, 1152, [32; 2], true), Tile::Flat);
        assert_eq!(tile(144, 192, [32; 2], true), Tile::Small);
        assert_eq!(tile(544, 1024, [32; 2], true), Tile::Small);
        assert_eq!(tile(544, 2304, [32; 2], true), Tile::Square);
        assert_eq!(tile(8192, 2304, [32; 2], true), Tile::Large);
        for (lanes, exchanges) in [([8; 2], false), ([4; 2], true), ([4, 8], true)] {
            assert_eq!(tile(144, 192, lanes, exchanges), Tile::Wide);
            assert_eq!(tile(544, 384, lanes, exchanges), Tile::Widest);
        }
        assert_eq!(tile(144, 192, [8; 2], true), Tile::Lanes);
        assert_eq!(tile(1024, 1024, [8; 2], true), Tile::HighLanes);
        assert_eq!(tile(8, 192, [8; 2], true), Tile::Wide);
        assert_eq!(tile(4, 192, [8; 2], true), Tile::Flat);
        assert_eq!(Tile::Widest.workgroups(65, 129), [2, 2, 1]);
    }

    #[test]
    fn f16_is_for_codes_where_there_is_f16() {
        let is_half = |lanes, has_half, is_quantized| {
            let hardware = Hardware { lanes: [lanes; 2], exchanges: true, has_half };
            Way::for_shape(544, 2304, is_quantized, hardware).arithmetic == Arithmetic::Half
        };
        assert!(is_half(32, true, true));
        assert!(!is_half(32, true, false) && !is_half(32, false, true) && !is_half(8, true, true));
    }
}
