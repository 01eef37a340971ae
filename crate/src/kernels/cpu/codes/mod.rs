//! Products with a W that stays in codes. x is rounded to whole numbers, block by block as W is; their products with codes
//! are summed up exactly over a block, in f32 from there on.
//!
//! A processor multiplies several small numbers in the time of one f32, and reads an eighth of the bytes. What it costs is
//! the error of x, half a step of the largest of 32 numbers: 2·10⁻⁵ of the result in 16 bits, 5·10⁻³ in 8, which x has
//! where that is twice as fast and W's codes of 4 bits err by twenty times as much ([`Way::precision`]).

mod product;
mod rounded;
mod strip;
mod vector;
#[cfg(target_family = "wasm")]
mod wasm;
mod way;
#[cfg(target_arch = "x86_64")]
mod x86;

use burn::tensor::Tensor;

use super::{
    super::{End, QuantMatrix},
    Array,
    finish::Finish,
    tensor,
    threads::{self, Tile, cores, cores_for},
};
use product::{Product, Scratch};
use rounded::Rounded;
use strip::Matrix;

pub use rounded::Precision;
pub use way::Way;

/// What a core multiplies and adds in a nanosecond, about.
const PRODUCTS: usize = 60;
/// Of each core, so that one that comes late leaves its share to the others.
const TILES: usize = 2;
/// Bytes of expanded W that a core's cache holds beside all else.
const CACHED: usize = 256 << 10;
/// Columns of a tile: enough that its rows are worth a call, and more where they fit.
const COLUMNS: usize = 256;
/// Rows of a tile: at most so many, whose x a cache holds, and no fewer than that, if there are: to expand W takes as long as
/// some thirty of them.
const MOST_ROWS: usize = 1024;
const LEAST_ROWS: usize = 128;

/// [`quant_linear`](super::super::quant_linear) for plain f32 on the CPU; nothing for halves.
pub fn quant_linear(x: &Tensor<2>, w: &QuantMatrix, b: Option<&Tensor<1>>, end: &End) -> Option<Tensor<2>> {
    quant_linear_by(Way::best(), x, w, b, end)
}

/// [`quant_linear`] by these instructions, which the processor must have.
pub fn quant_linear_by(
    way: Way,
    x: &Tensor<2>,
    w: &QuantMatrix,
    b: Option<&Tensor<1>>,
    end: &End,
) -> Option<Tensor<2>> {
    assert!(Way::all().any(|there| there == way), "this processor has no {way:?}");
    let ([m, k], [n, columns]) = (x.dims(), w.shape());
    assert_eq!(k, columns, "features of x, and of W [{n}, {columns}]");
    if m == 0 || k == 0 {
        return None;
    }
    let (x, w, finish) = (Array::of(x)?.in_rows(), Matrix::of(w)?, Finish::of(b, end, [m, n])?);
    let precision = way.precision(w.code_bits);
    let x = Rounded::new(&x, m.next_multiple_of(way.rows()), precision, w.blocks());
    let sides = sides([m, n, k], way);
    let product = Product { x, w, finish };
    let fill = |scratch: &mut Scratch, tile: Tile| way.multiply(&product, scratch, tile);
    let most_cores = cores_for(m.saturating_mul(n).saturating_mul(k) / PRODUCTS);
    // SAFETY: every number of a tile is written.
    let z = unsafe { threads::fill_tiles([m, n], sides, most_cores, Scratch::default, fill) };
    Some(tensor(z, [m, n]))
}

/// Rows and columns of a tile: every core should have some of them.
fn sides([m, n, k]: [usize; 3], way: Way) -> [usize; 2] {
    let wanted = TILES * cores();
    let most = (CACHED / (k * size_of::<u16>())).clamp(way.columns(), COLUMNS);
    let down = m.div_ceil(MOST_ROWS).max((wanted / n.div_ceil(most)).min(m / LEAST_ROWS)).max(1);
    let across = wanted.div_ceil(down).max(n.div_ceil(most));
    [m.div_ceil(down).next_multiple_of(way.rows()), n.div_ceil(across).next_multiple_of(way.columns())]
}
