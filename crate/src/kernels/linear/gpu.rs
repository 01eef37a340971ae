//! The shaders' launch.

use burn::{
    backend::{
        Backend, Dispatch, DispatchTensor, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::Tensor,
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

use super::{
    super::shader::{Shader, Source, empty, nothing},
    Arithmetic, End, Gates, QuantMatrix, Way,
    tile::Hardware,
};

static IN_REGISTERS: Source = Source::new(
    "linear.wgsl",
    concat!(include_str!("../../../../shaders/shared/linear.wgsl"), include_str!("../../../../shaders/linear.wgsl")),
);
#[cfg(not(target_family = "wasm"))]
static BY_LANES: Source = Source::new(
    "linear_lanes.wgsl",
    concat!(
        include_str!("../../../../shaders/shared/linear.wgsl"),
        include_str!("../../../../shaders/linear_lanes.wgsl")
    ),
);
/// The text of tiles in workgroup memory, whatever is multiplied in them.
const TILED_TEXT: &str = concat!(
    include_str!("../../../../shaders/shared/linear.wgsl"),
    include_str!("../../../../shaders/linear_tiled.wgsl")
);
static TILED: Source = Source::new("linear_tiled.wgsl", TILED_TEXT).after("alias Element = f32;\n");
static TILED_IN_HALF: Source =
    Source::new("linear_tiled.wgsl", TILED_TEXT).after("enable f16;\nalias Element = f16;\n");
#[cfg(not(target_family = "wasm"))]
static IN_INT8: Source = Source::new(
    "linear_int8.wgsl",
    concat!(
        include_str!("../../../../shaders/shared/linear.wgsl"),
        include_str!("../../../../shaders/linear_int8.wgsl")
    ),
);
/// Vectors of four features that are brought to workgroup memory at a time.
const DEPTH: usize = 4;
/// The shader's END.
const PLAIN: usize = 0;
const RESIDUAL: usize = 1;
const GATED: usize = 2;
const SILU: usize = 3;
const SILU_OF_SUM: usize = 4;
const ENDS: [usize; 5] = [PLAIN, RESIDUAL, GATED, SILU, SILU_OF_SUM];
/// x is read by vectors of so many features.
const VECTOR: usize = 4;

/// How W is stored.
#[derive(Clone, Copy, Debug)]
struct Weights {
    /// Bits of a code, or of a float.
    bits: usize,
    /// Whether blocks have minima.
    has_min: bool,
}

impl Weights {
    const DENSE: Self = Self { bits: 32, has_min: false };
    const HALF: Self = Self { bits: 16, has_min: false };
    const ALL: [Self; 5] = [
        Self { bits: 4, has_min: false },
        Self { bits: 4, has_min: true },
        Self { bits: 8, has_min: false },
        Self::HALF,
        Self::DENSE,
    ];

    fn is_quantized(self) -> bool {
        self.bits < Self::HALF.bits
    }
}

/// How often the shaders were launched in this process.
pub fn launches() -> u64 {
    let sources = [
        &IN_REGISTERS,
        #[cfg(not(target_family = "wasm"))]
        &BY_LANES,
        &TILED,
        &TILED_IN_HALF,
        #[cfg(not(target_family = "wasm"))]
        &IN_INT8,
    ];
    sources.iter().map(|source| source.launches()).sum()
}

fn shader(weights: Weights, has_bias: bool, end: usize, Way { tile, arithmetic }: Way) -> Shader {
    let [down, across] = tile.side();
    let [mats_m, mats_n] = [tile.rows() / 4, tile.columns() / 4];
    let (source, of_source) = match arithmetic {
        #[cfg(not(target_family = "wasm"))]
        Arithmetic::Full if tile.hands_round() => (&BY_LANES, vec![("EIGHTS", tile.rows() / 8)]),
        Arithmetic::Full if !tile.is_shared() => (&IN_REGISTERS, vec![("MATS_M", mats_m), ("MATS_N", mats_n)]),
        Arithmetic::Full => (&TILED, vec![("MATS", mats_m), ("DEPTH", DEPTH), ("HALF", 0)]),
        Arithmetic::Half => (&TILED_IN_HALF, vec![("MATS", mats_m), ("DEPTH", DEPTH), ("HALF", 1)]),
        #[cfg(not(target_family = "wasm"))]
        Arithmetic::Int8 => (&IN_INT8, Vec::new()),
    };
    let mut constants = vec![
        ("WEIGHT_BITS", weights.bits),
        ("HAS_MIN", weights.has_min.into()),
        ("HAS_BIAS", has_bias.into()),
        ("END", end),
        ("SIDE_M", down),
        ("SIDE_N", across),
    ];
    constants.extend(of_source);
    Shader { source, constants, threads: down * across }
}

/// Every variant with its name; those for devices with f16, or those for all.
pub fn sources(is_half: bool) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for weights in Weights::ALL {
        for way in Way::all(weights.is_quantized()).filter(|way| (way.arithmetic == Arithmetic::Half) == is_half) {
            for end in ENDS {
                sources.extend([false, true].map(|has_bias| {
                    let shader = shader(weights, has_bias, end, way);
                    (shader.name(), shader.text())
                }));
            }
        }
    }
    sources
}

/// Where a row of y finds its gates.
#[derive(Clone, Copy)]
struct GatesAt {
    /// Rows of x that one row of the batch has.
    rows: usize,
    /// From one row's gates to the next one's.
    stride: usize,
    /// The first one's.
    first: usize,
}

/// What a launch must know beside the tensors.
#[derive(Clone, Copy)]
struct Terms {
    weights: Weights,
    has_bias: bool,
    end: usize,
    has_other: bool,
    gates: GatesAt,
    way: Way,
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
        launch(x, codes, scales, [b, other, gates], terms)
    }

    fn dense_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        other: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self> {
        // Its scales are not read.
        let scales = x.clone();
        launch(x, w, scales, [b, other, gates], terms)
    }
}

/// The last three are what is added and multiplied where there is a product: b, and of an end other and gates.
fn launch(x: CubeTensor, w: CubeTensor, scales: CubeTensor, after: [CubeTensor; 3], terms: Terms) -> CubeTensor {
    let [x, w] = [x, w].map(into_contiguous);
    let ([m, k], n) = ([x.meta.shape()[0], x.meta.shape()[1]], w.meta.shape()[0]);
    let y = empty(&x, &[m, n]);
    let GatesAt { rows, stride, first } = terms.gates;
    let numbers = [m, n, k, rows, stride, first].map(|count| count as u64).to_vec();
    let shader = shader(terms.weights, terms.has_bias, terms.end, terms.way);
    let nothing = nothing(&x);
    let bound = |is_read: bool, tensor, place: usize| match is_read {
        true => into_contiguous(tensor),
        false => nothing[place].clone(),
    };
    let [b, other, gates] = after;
    let scales = bound(terms.weights.is_quantized(), scales, 0);
    let b = bound(terms.has_bias, b, 1);
    let other = bound(terms.has_other, other, 2);
    let gates = bound(terms.end == RESIDUAL, gates, 3);
    shader.launch(&x.client, terms.way.tile.workgroups(m, n), &[&x, &w, &scales, &b, &other, &gates, &y], numbers);
    y
}

/// That way, or the best one.
pub fn quantized(x: Tensor<2>, w: &QuantMatrix, b: Option<Tensor<1>>, end: End, way: Option<Way>) -> Tensor<2> {
    let weights = Weights { bits: w.code_bits(), has_min: w.has_min() };
    let (terms, [b, other, gates]) = terms(&x, w.shape()[0], weights, b, end, way);
    let (codes, x) = (w.codes.clone().into_dispatch(), by_vectors(x).into_dispatch());
    // Halves have none.
    let scales = w.scales.clone().map_or_else(|| x.clone(), Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::quant_linear(x, codes, scales, b, other, gates, terms))
}

/// x Wᵀ in f32, whatever the device multiplies faster.
pub fn in_full(x: Tensor<2>, w: &QuantMatrix) -> Tensor<2> {
    let way = Way::for_shape(x.dims()[0], w.shape()[0], false, Hardware::of(&x.device()));
    quantized(x, w, None, End::Plain, Some(way))
}

/// That way, or the best one.
pub fn dense(x: Tensor<2>, w: Tensor<2>, b: Option<Tensor<1>>, end: End, way: Option<Way>) -> Tensor<2> {
    let (terms, [b, other, gates]) = terms(&x, w.dims()[0], Weights::DENSE, b, end, way);
    let [x, w] = [x, w].map(|matrix| by_vectors(matrix).into_dispatch());
    Tensor::from_dispatch(Dispatch::dense_linear(x, w, b, other, gates, terms))
}

/// Of a product with `n` columns, with b, other and gates; where there are none, x stands for them, since an extension takes no optional tensors.
fn terms(
    x: &Tensor<2>,
    n: usize,
    weights: Weights,
    b: Option<Tensor<1>>,
    end: End,
    way: Option<Way>,
) -> (Terms, [DispatchTensor; 3]) {
    let best = || Way::for_shape(x.dims()[0], n, weights.is_quantized(), Hardware::of(&x.device()));
    let (has_bias, way) = (b.is_some(), way.unwrap_or_else(best));
    let (end, other, gates) = match end {
        End::Plain => (PLAIN, None, None),
        End::Residual { other, gates } => (RESIDUAL, Some(other), Some(gates)),
        End::Gated(other) => (GATED, Some(other), None),
        End::Silu(None) => (SILU, None, None),
        End::Silu(Some(other)) => (SILU_OF_SUM, Some(other), None),
    };
    let or_x = |tensor: Option<DispatchTensor>| tensor.unwrap_or_else(|| x.clone().into_dispatch());
    let (at, gates) = gates.map_or((GatesAt { rows: 1, stride: 0, first: 0 }, None), |Gates { parts, which }| {
        let [batch, count, width] = parts.dims();
        let at = GatesAt { rows: x.dims()[0] / batch, stride: count * width, first: which * width };
        (at, Some(parts.into_dispatch()))
    });
    let terms = Terms { weights, has_bias, end, has_other: other.is_some(), gates: at, way };
    let (b, other) = (b.map(Tensor::into_dispatch), other.map(Tensor::into_dispatch));
    (terms, [or_x(b), or_x(other), or_x(gates)])
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
