//! The shader's launch.

use burn::{
    backend::{
        Backend, Dispatch, DispatchTensor, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::Tensor,
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

use super::{
    super::shader::{Shader, Source, empty},
    End, QuantMatrix, Tile,
};

static SOURCE: Source = Source::new("linear.wgsl", include_str!("../../../../shaders/linear.wgsl"));
/// Bits of a weight: codes, and f32.
const WEIGHT_BITS: [usize; 3] = [4, 8, 32];
/// The shader's END.
const PLAIN: usize = 0;
const RESIDUAL: usize = 1;
const GATED: usize = 2;
/// x is read by vectors of so many features.
const VECTOR: usize = 4;

/// How often the shader was launched in this process.
pub fn launches() -> u64 {
    SOURCE.launches()
}

fn shader(weight_bits: usize, has_bias: bool, end: usize, tile: Tile) -> Shader {
    let [down, across] = tile.side();
    let constants = vec![
        ("WEIGHT_BITS", weight_bits),
        ("HAS_BIAS", has_bias.into()),
        ("END", end),
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
            for end in [PLAIN, RESIDUAL, GATED] {
                sources.extend([false, true].map(|has_bias| {
                    let shader = shader(weight_bits, has_bias, end, tile);
                    (shader.name(), shader.text())
                }));
            }
        }
    }
    sources
}

/// What a launch must know beside the tensors.
#[derive(Clone, Copy)]
struct Terms {
    weight_bits: usize,
    has_bias: bool,
    end: usize,
    /// Rows of x that one row of gates is for.
    rows_a_gate: usize,
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
        other: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self>;

    fn dense_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        other: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self>;
}

impl Linear for CubeBackend {
    fn quant_linear(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        b: FloatTensor<Self>,
        other: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self> {
        launch(x, codes, into_contiguous(scales), [b, other, gates], terms)
    }

    fn dense_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        other: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self> {
        let nothing = empty(&x, &[1]);
        launch(x, w, nothing, [b, other, gates], terms)
    }
}

/// The last three are what is added and multiplied where there is a product: b, and of an end other and gates.
fn launch(x: CubeTensor, w: CubeTensor, scales: CubeTensor, after: [CubeTensor; 3], terms: Terms) -> CubeTensor {
    let ([x, w], [b, other, gates]) = ([x, w].map(into_contiguous), after.map(into_contiguous));
    let ([m, k], n) = ([x.meta.shape()[0], x.meta.shape()[1]], w.meta.shape()[0]);
    let y = empty(&x, &[m, n]);
    let numbers = [m, n, k, terms.rows_a_gate].map(|count| count as u64).to_vec();
    let lanes = x.client.properties().hardware.plane_size_max;
    let tile = terms.tile.unwrap_or_else(|| Tile::for_shape(m, n, lanes));
    let shader = shader(terms.weight_bits, terms.has_bias, terms.end, tile);
    let tensors = [&x, &w, &scales, &b, &other, &gates, &y];
    shader.launch(&x.client, tile.workgroups(m, n), &tensors, numbers);
    y
}

/// Divided by `tile`, or as is best.
pub fn quantized(x: Tensor<2>, w: &QuantMatrix, b: Option<Tensor<1>>, end: End, tile: Option<Tile>) -> Tensor<2> {
    let (terms, [b, other, gates]) = terms(&x, w.code_bits(), b, end, tile);
    let [codes, scales] = [w.codes.clone().into_dispatch(), w.scales.clone().into_dispatch()];
    let x = by_vectors(x).into_dispatch();
    Tensor::from_dispatch(Dispatch::quant_linear(x, codes, scales, b, other, gates, terms))
}

/// Divided by `tile`, or as is best.
pub fn dense(x: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>, end: End, tile: Option<Tile>) -> Tensor<2> {
    let (terms, [b, other, gates]) = terms(&x, 32, b, end, tile);
    let [x, w] = [x, w].map(|matrix| by_vectors(matrix).into_dispatch());
    Tensor::from_dispatch(Dispatch::dense_linear(x, w, b, other, gates, terms))
}

/// With b, other and gates, or something to bind where there are none.
fn terms(
    x: &Tensor<2>,
    weight_bits: usize,
    b: Option<Tensor<1>>,
    end: End,
    tile: Option<Tile>,
) -> (Terms, [DispatchTensor; 3]) {
    let (device, has_bias) = (x.device(), b.is_some());
    let nothing = || Tensor::<2>::empty([1, 1], &device);
    let (end, other, gates) = match end {
        End::Plain => (PLAIN, nothing(), nothing()),
        End::Residual { other, gates } => (RESIDUAL, other, gates),
        End::Gated(other) => (GATED, other, nothing()),
    };
    let rows_a_gate = (x.dims()[0] / gates.dims()[0]).max(1);
    let b = b.unwrap_or_else(|| Tensor::empty([1], &device));
    let terms = Terms { weight_bits, has_bias, end, rows_a_gate, tile };
    (terms, [b.into_dispatch(), other.into_dispatch(), gates.into_dispatch()])
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
