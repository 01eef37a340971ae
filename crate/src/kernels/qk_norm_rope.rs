//! What queries and keys go through before attention, in one pass: layer norm over all heads of a token together, then RoPE.

use burn::tensor::{Device, Tensor, TensorData};

use super::{layer_norm, matmul};

/// A layer norm over all features of a token.
#[derive(Debug, Clone)]
pub struct Norm {
    /// `[H·d]`.
    pub weight: Tensor<1>,
    /// `[H·d]`.
    pub bias: Tensor<1>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Which two features of a head are turned together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Features 2j and 2j + 1 (complex multiplication; Lumina).
    Adjacent,
    /// Features j and j + d/2 (`rotate_half`; LLaMA in transformers).
    Halves,
}

/// A turn of pairs of features, by an angle for each token and pair.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Cosines, `[1, 1, N, d]`, of a batch `[B, 1, N, d]`: the same for both features of a pair.
    pub cos: Tensor<4>,
    /// Sines, likewise.
    pub sin: Tensor<4>,
    pairing: Pairing,
    /// `[1, 1, d, d]`: the signed permutation that takes (a, b) to (−b, a) in every pair. As a product of matrices
    /// it is exact (every sum has one term) and cheap both ways, which slices and concatenations are not.
    turn: Tensor<4>,
}

impl Rotation {
    /// By angles that have these cosines and sines.
    pub fn new(cos: Tensor<4>, sin: Tensor<4>, pairing: Pairing) -> Self {
        let turn = turn(cos.dims()[3], pairing, &cos.device());
        Self { cos, sin, pairing, turn }
    }

    /// Which features make a pair.
    pub fn pairing(&self) -> Pairing {
        self.pairing
    }

    /// The same pairs by other angles.
    pub fn with(&self, cos: Tensor<4>, sin: Tensor<4>) -> Self {
        Self { cos, sin, ..self.clone() }
    }

    /// `[B, H, N, d]` to `[B, H, N, d]`, for the first N tokens of the tables, by plain tensor operations.
    fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let tokens = x.dims()[2];
        let [cos, sin] = [&self.cos, &self.sin].map(|t| t.clone().narrow(2, 0, tokens)); // [1 or B, 1, N, d]
        let [batch, heads, _, width] = x.dims();
        let turned = x.clone().reshape([1, 1, batch * heads * tokens, width]); // [1, 1, B·H·N, d]
        let turned = matmul(turned, self.turn.clone());
        x * cos + turned.reshape([batch, heads, tokens, width]) * sin
    }
}

fn turn(width: usize, pairing: Pairing, device: &Device) -> Tensor<4> {
    let mut matrix = vec![0.0f32; width * width];
    for j in 0..width / 2 {
        let (a, b) = match pairing {
            Pairing::Adjacent => (2 * j, 2 * j + 1),
            Pairing::Halves => (j, j + width / 2),
        };
        matrix[b * width + a] = -1.0; // new a takes −b
        matrix[a * width + b] = 1.0; // new b takes a
    }
    Tensor::from_data(TensorData::new(matrix, [1, 1, width, width]), device)
}

/// x `[B, N, H·d]`, normed where there is a norm, as `heads` heads turned by `rotation`: `[B, H, N, d]`. On a GPU it
/// lies as `[B, N, H, d]` does. Halves go by plain operations: language models have them, and run once a prompt.
pub fn qk_norm_rope(x: Tensor<3>, heads: usize, norm: Option<Norm>, rotation: &Rotation) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) && gpu::takes(&x, heads, rotation) {
        return gpu::launch(x, heads, norm, rotation);
    }
    #[cfg(feature = "cpu")]
    if let Some(y) = super::cpu::qk_norm_rope::qk_norm_rope(&x, heads, norm.as_ref(), rotation) {
        return y;
    }
    reference(x, heads, norm, rotation)
}

/// [`qk_norm_rope`] by plain tensor operations.
pub fn reference(x: Tensor<3>, heads: usize, norm: Option<Norm>, rotation: &Rotation) -> Tensor<4> {
    let [batch, tokens, width] = x.dims();
    let x = match norm {
        Some(Norm { weight, bias, epsilon }) => layer_norm(x, weight, bias, epsilon),
        None => x,
    };
    rotation.apply(x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)) // [B, H, N, d]
}

#[cfg(feature = "gpu")]
pub use gpu::{launches, sources};

#[cfg(feature = "gpu")]
mod gpu {
    use burn::{
        backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor},
        tensor::{DType, Tensor},
    };
    use burn_cubecl::{CubeBackend, kernel::into_contiguous};

    use super::{
        super::shader::{Shader, Source, empty, nothing},
        Norm, Pairing, Rotation,
    };

    static SOURCE: Source = Source::new("qk_norm_rope.wgsl", include_str!("../../../shaders/qk_norm_rope.wgsl"));
    /// Tokens that a workgroup takes.
    const TOKENS: usize = 4;
    /// Invocations of a workgroup: sixteen for each token.
    const THREADS: usize = TOKENS * 16;

    /// How often the shader was launched in this process.
    pub fn launches() -> u64 {
        SOURCE.launches()
    }

    fn shader(has_norm: bool) -> Shader {
        Shader { source: &SOURCE, constants: vec![("HAS_NORM", usize::from(has_norm))], threads: THREADS }
    }

    /// Every variant with its name.
    pub fn sources() -> Vec<(String, String)> {
        [false, true].map(shader).map(|shader| (shader.name(), shader.text())).to_vec()
    }

    /// Whether the shader computes this one: adjacent pairs in heads of vectors of four, f32, and something to compute.
    pub fn takes(x: &Tensor<3>, heads: usize, rotation: &Rotation) -> bool {
        rotation.pairing() == Pairing::Adjacent
            && x.dtype() == DType::F32
            && (x.dims()[2] / heads).is_multiple_of(4)
            && !x.dims().contains(&0)
    }

    #[backend_extension(Cube)]
    trait QkNormRope: Backend {
        fn qk_norm_rope(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            cos: FloatTensor<Self>,
            sin: FloatTensor<Self>,
            has_norm: bool,
            epsilon: f32,
        ) -> FloatTensor<Self>;
    }

    impl QkNormRope for CubeBackend {
        fn qk_norm_rope(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            cos: FloatTensor<Self>,
            sin: FloatTensor<Self>,
            has_norm: bool,
            epsilon: f32,
        ) -> FloatTensor<Self> {
            let [x, cos, sin] = [x, cos, sin].map(into_contiguous);
            let [batch, tokens, width] = [0, 1, 2].map(|dim| x.meta.shape()[dim]);
            let [tables, table_tokens, head] = [0, 2, 3].map(|dim| cos.meta.shape()[dim]);
            let y = empty(&x, &[batch, tokens, width]);
            // What is declared must be bound; without a norm nothing reads it.
            let [weight, bias] = match has_norm {
                true => [weight, bias].map(into_contiguous),
                false => [0, 1].map(|place| nothing(&x)[place].clone()),
            };
            let table = if tables == 1 { 0 } else { table_tokens * head / 4 };
            let numbers = [tokens, width / 4, head / 4, table].map(|number| number as u64).into_iter();
            let numbers = numbers.chain([u64::from(epsilon.to_bits())]).collect();
            let workgroups = [tokens.div_ceil(TOKENS), batch, 1];
            shader(has_norm).launch(&x.client, workgroups, &[&x, &weight, &bias, &cos, &sin, &y], numbers);
            y
        }
    }

    pub fn launch(x: Tensor<3>, heads: usize, norm: Option<Norm>, rotation: &Rotation) -> Tensor<4> {
        let [batch, tokens, width] = x.dims();
        let [x, cos, sin] =
            [x.into_dispatch(), rotation.cos.clone().into_dispatch(), rotation.sin.clone().into_dispatch()];
        let (has_norm, epsilon) = (norm.is_some(), norm.as_ref().map_or(0.0, |norm| norm.epsilon as f32));
        // An extension takes no optional tensors.
        let [weight, bias] = match norm {
            Some(Norm { weight, bias, .. }) => [weight.into_dispatch(), bias.into_dispatch()],
            None => [x.clone(), x.clone()],
        };
        let y = Dispatch::qk_norm_rope(x, weight, bias, cos, sin, has_norm, epsilon);
        let y = Tensor::<3>::from_dispatch(y).reshape([batch, tokens, heads, width / heads]); // [B, N, H, d]
        y.swap_dims(1, 2)
    }
}
