//! The launch of `norm_modulate.wgsl`, by which RMS norms and layer norms go, with what follows them.

use burn::{
    backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor},
    tensor::{DType, Tensor},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous};

use super::{
    rms_norm_modulate::Adaptation,
    shader::{Shader, Source, empty, nothing},
};

static SOURCE: Source = Source::new("norm_modulate.wgsl", include_str!("../../../shaders/norm_modulate.wgsl"));
/// Tokens that a workgroup takes.
const TOKENS: usize = 4;
/// Invocations of a workgroup: sixteen for each token.
const THREADS: usize = TOKENS * 16;
/// Features are read by vectors of so many.
const VECTOR: usize = 4;

/// How often the shader was launched in this process.
pub fn launches() -> u64 {
    SOURCE.launches()
}

/// A norm's kind and parameters, beside what comes after.
#[derive(Debug, Clone)]
pub struct Norm {
    /// Whether the mean is taken off before.
    pub is_centred: bool,
    /// w, `[D]`; absent: x is not multiplied.
    pub weight: Option<Tensor<1>>,
    /// Added to w.
    pub offset: f64,
    /// ε, added to the mean square.
    pub epsilon: f64,
}

/// What multiplies and what is added, of vectors `[1 or B, P, D]`.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The vectors.
    pub vectors: Tensor<3>,
    /// Which of them is the scale, if there is one.
    pub scale: Option<usize>,
    /// Which of them is the shift, if there is one.
    pub shift: Option<usize>,
}

impl Parts {
    /// Those that the conditioning vector sets.
    pub fn adaptive(Adaptation { parts, scale, shift }: Adaptation) -> Self {
        Self { vectors: parts, scale: Some(scale), shift }
    }

    /// A bias `[D]`.
    pub fn bias(bias: Tensor<1>) -> Self {
        Self { vectors: bias.unsqueeze(), scale: None, shift: Some(0) } // [1, 1, D]
    }
}

/// What a launch must know beside the tensors.
#[derive(Debug, Clone, Copy)]
struct Terms {
    is_centred: bool,
    has_weight: bool,
    scale: Option<usize>,
    shift: Option<usize>,
    epsilon: f32,
    offset: f32,
}

impl Terms {
    fn shader(self) -> Shader {
        let constants = [
            ("IS_CENTRED", self.is_centred),
            ("HAS_WEIGHT", self.has_weight),
            ("HAS_SCALE", self.scale.is_some()),
            ("HAS_SHIFT", self.shift.is_some()),
        ];
        let constants = constants.map(|(name, has)| (name, usize::from(has))).to_vec();
        Shader { source: &SOURCE, constants, threads: THREADS }
    }
}

/// Every variant with its name.
pub fn sources() -> Vec<(String, String)> {
    let each = || [false, true].into_iter();
    let terms = each().flat_map(|is_centred| {
        each().flat_map(move |has_weight| {
            [(None, None), (None, Some(0)), (Some(0), None), (Some(0), Some(0))].map(|(scale, shift)| Terms {
                is_centred,
                has_weight,
                scale,
                shift,
                epsilon: 0.0,
                offset: 0.0,
            })
        })
    });
    terms.map(|terms| (terms.shader().name(), terms.shader().text())).collect()
}

/// Whether the shader computes this one: vectors of four, f32, and something to compute.
pub fn takes<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.dims()[D - 1].is_multiple_of(VECTOR) && !x.dims().contains(&0)
}

#[backend_extension(Cube)]
trait NormModulate: Backend {
    fn norm_modulate(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        vectors: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self>;
}

impl NormModulate for CubeBackend {
    fn norm_modulate(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        vectors: FloatTensor<Self>,
        terms: Terms,
    ) -> FloatTensor<Self> {
        let x = into_contiguous(x);
        let [batch, tokens, width] = [0, 1, 2].map(|dim| x.meta.shape()[dim]);
        let y = empty(&x, &[batch, tokens, width]);
        // What is declared must be bound, also where nothing reads it.
        let bound = |is_read: bool, tensor, place: usize| match is_read {
            true => into_contiguous(tensor),
            false => nothing(&x)[place].clone(),
        };
        let has_parts = terms.scale.is_some() || terms.shift.is_some();
        let (weight, vectors) = (bound(terms.has_weight, weight, 0), bound(has_parts, vectors, 1));
        let width = width / VECTOR;
        let is_by_row = has_parts && vectors.meta.shape()[0] > 1;
        let row = if is_by_row { vectors.meta.shape()[1] * width } else { 0 };
        let [scale, shift] = [terms.scale, terms.shift].map(|part| part.unwrap_or(0) * width);
        let numbers = [tokens, width, row, scale, shift].map(|number| number as u64);
        let floats = [terms.epsilon, terms.offset].map(|number| u64::from(number.to_bits()));
        let numbers = numbers.into_iter().chain(floats).collect();
        let workgroups = [tokens.div_ceil(TOKENS), batch, 1];
        terms.shader().launch(&x.client, workgroups, &[&x, &weight, &vectors, &y], numbers);
        y
    }
}

/// x `[B, N, D]` that [`takes`] takes, normed, then times 1 + scale, plus the shift.
pub fn launch(x: Tensor<3>, norm: Norm, parts: Option<Parts>) -> Tensor<3> {
    let terms = Terms {
        is_centred: norm.is_centred,
        has_weight: norm.weight.is_some(),
        scale: parts.as_ref().and_then(|parts| parts.scale),
        shift: parts.as_ref().and_then(|parts| parts.shift),
        epsilon: norm.epsilon as f32,
        offset: norm.offset as f32,
    };
    let x = x.into_dispatch();
    // An extension takes no optional tensors.
    let weight = norm.weight.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let vectors = parts.map_or_else(|| x.clone(), |parts| parts.vectors.into_dispatch());
    Tensor::from_dispatch(Dispatch::norm_modulate(x, weight, vectors, terms))
}
