//! The shader's launch.

use burn::{
    backend::{
        Backend, Dispatch, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{Device, Tensor},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

use super::{
    super::shader::{Shader, Source, empty},
    QuantMatrix, Tile,
};

static SOURCE: Source = Source::new("linear.wgsl", include_str!("../../../../shaders/linear.wgsl"));
/// Bits of a weight: codes, and f32.
const WEIGHT_BITS: [usize; 3] = [4, 8, 32];
/// x is read by vectors of so many features.
const VECTOR: usize = 4;

/// How often the shader was launched in this process.
pub fn launches() -> u64 {
    SOURCE.launches()
}

fn shader(weight_bits: usize, has_bias: bool, tile: Tile) -> Shader {
    let [down, across] = tile.side();
    let constants = vec![
        ("WEIGHT_BITS", weight_bits),
        ("HAS_BIAS", has_bias.into()),
        ("MATS_M", tile.rows() / 4),
        ("MATS_N", tile.columns() / 4),
        ("SIDE_M", down),
        ("SIDE_N", across),
    ];
    Shader { source: &SOURCE, constants, threads: down * across }
}

/// Every variant with its name.
pub fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for weight_bits in WEIGHT_BITS {
        for tile in Tile::ALL {
            sources.extend([false, true].map(|has_bias| {
                let shader = shader(weight_bits, has_bias, tile);
                (shader.name(), shader.text())
            }));
        }
    }
    sources
}

/// What a launch must know beside the tensors.
#[derive(Clone, Copy)]
struct Terms {
    weight_bits: usize,
    has_bias: bool,
    /// Nothing: the best one.
    tile: Option<Tile>,
}

#[backend_extension(Cube)]
trait Linear: Backend {
    fn quant_linear(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        b: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self>;

    fn dense_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self>;
}

impl Linear for CubeBackend {
    fn quant_linear(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        b: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self> {
        launch(x, codes, into_contiguous(scales), b, terms)
    }

    fn dense_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self> {
        let nothing = empty(&x, &[1]);
        launch(x, w, nothing, b, terms)
    }
}

fn launch(x: CubeTensor, w: CubeTensor, scales: CubeTensor, b: CubeTensor, terms: Terms) -> CubeTensor {
    let [x, w, b] = [x, w, b].map(into_contiguous);
    let ([m, k], n) = ([x.meta.shape()[0], x.meta.shape()[1]], w.meta.shape()[0]);
    let y = empty(&x, &[m, n]);
    let numbers = [m, n, k].map(|count| count as u64).to_vec();
    let lanes = x.client.properties().hardware.plane_size_max;
    let tile = terms.tile.unwrap_or_else(|| Tile::for_shape(m, n, lanes));
    let shader = shader(terms.weight_bits, terms.has_bias, tile);
    shader.launch(&x.client, tile.workgroups(m, n), &[&x, &w, &scales, &b, &y], numbers);
    y
}

/// Divided by `tile`, or as is best.
pub fn quantized(x: Tensor<2>, w: &QuantMatrix, b: Option<Tensor<1>>, tile: Option<Tile>) -> Tensor<2> {
    let terms = Terms { weight_bits: w.code_bits(), has_bias: b.is_some(), tile };
    let [codes, scales] = [w.codes.clone().into_dispatch(), w.scales.clone().into_dispatch()];
    let b = bias(b, &x.device()).into_dispatch();
    Tensor::from_dispatch(Dispatch::quant_linear(by_vectors(x).into_dispatch(), codes, scales, b, terms))
}

/// Divided by `tile`, or as is best.
pub fn dense(x: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>, tile: Option<Tile>) -> Tensor<2> {
    let terms = Terms { weight_bits: 32, has_bias: b.is_some(), tile };
    let b = bias(b, &x.device()).into_dispatch();
    let [x, w] = [x, w].map(|matrix| by_vectors(matrix).into_dispatch());
    Tensor::from_dispatch(Dispatch::dense_linear(x, w, b, terms))
}

/// `[M, K]` with K rounded up to whole vectors by zeros, which add nothing to a product.
fn by_vectors(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    let missing = columns.next_multiple_of(VECTOR) - columns;
    if missing == 0 {
        return matrix;
    }
    let zeros = Tensor::zeros([rows, missing], &matrix.device());
    Tensor::cat(vec![matrix, zeros], 1) // [rows, a multiple of 4]
}

/// Something to bind where there is none.
fn bias(b: Option<Tensor<1>>, device: &Device) -> Tensor<1> {
    b.unwrap_or_else(|| Tensor::empty([1], device))
}
