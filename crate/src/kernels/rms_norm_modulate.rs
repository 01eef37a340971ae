//! What tokens go through on the way into a layer, in one pass: RMS norm, then the scale and shift of the conditioning.

use burn::tensor::Tensor;

use super::spread;

/// An RMS norm's parameters.
#[derive(Debug, Clone)]
pub struct Norm {
    /// w, `[D]`; absent: x is not multiplied.
    pub weight: Option<Tensor<1>>,
    /// Added to w.
    pub offset: f64,
    /// ε, added to the mean square.
    pub epsilon: f64,
}

/// What the conditioning vector sets.
#[derive(Debug, Clone)]
pub struct Adaptation {
    /// Vectors `[B, P, D]`.
    pub parts: Tensor<3>,
    /// Which of them is the scale.
    pub scale: usize,
    /// Which of them is the shift, if there is one.
    pub shift: Option<usize>,
}

/// `x / √(mean(x²) + ε) · (offset + w) · (1 + scale) + shift` over the last axis: `[B, N, D]` to `[B, N, D]`.
pub fn rms_norm_modulate(x: Tensor<3>, norm: Norm, adaptation: Option<Adaptation>) -> Tensor<3> {
    #[cfg(feature = "gpu")]
    if super::run_on(&x.device()) && gpu::takes(&x) {
        return gpu::launch(x, norm, adaptation);
    }
    #[cfg(not(all(feature = "gpu", target_family = "wasm")))]
    if let Some(y) = super::cpu::rms_norm_modulate::rms_norm_modulate(&x, &norm, adaptation.as_ref()) {
        return y;
    }
    reference(x, norm, adaptation)
}

/// [`rms_norm_modulate`] by plain tensor operations.
pub fn reference(x: Tensor<3>, norm: Norm, adaptation: Option<Adaptation>) -> Tensor<3> {
    let mean_square = (x.clone() * x.clone()).mean_dim(2); // [B, N, 1]
    let x = x * (mean_square + norm.epsilon).sqrt().recip();
    let rows = x.dims()[0];
    let x = match norm.weight {
        Some(weight) if norm.offset == 0.0 => x * spread(weight, rows).unsqueeze_dim(1),
        Some(weight) => x * spread(weight + norm.offset, rows).unsqueeze_dim(1),
        None => x,
    };
    let Some(Adaptation { parts, scale, shift }) = adaptation else { return x };
    let x = x * (parts.clone().narrow(1, scale, 1) + 1.0);
    match shift {
        Some(shift) => x + parts.narrow(1, shift, 1),
        None => x,
    }
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
        Adaptation, Norm,
    };

    static SOURCE: Source =
        Source::new("rms_norm_modulate.wgsl", include_str!("../../../shaders/rms_norm_modulate.wgsl"));
    /// Tokens that a workgroup takes.
    const TOKENS: usize = 4;
    /// Invocations of a workgroup: sixteen for each token.
    const THREADS: usize = TOKENS * 16;

    /// How often the shader was launched in this process.
    pub fn launches() -> u64 {
        SOURCE.launches()
    }

    /// What there is beside x.
    #[derive(Debug, Clone, Copy)]
    struct Terms {
        has_weight: bool,
        /// Which part of the modulation.
        scale: Option<usize>,
        /// Likewise.
        shift: Option<usize>,
        epsilon: f32,
        offset: f32,
    }

    fn shader(has_weight: bool, has_scale: bool, has_shift: bool) -> Shader {
        let constants = [("HAS_WEIGHT", has_weight), ("HAS_SCALE", has_scale), ("HAS_SHIFT", has_shift)];
        let constants = constants.map(|(name, has)| (name, usize::from(has))).to_vec();
        Shader { source: &SOURCE, constants, threads: THREADS }
    }

    /// Every variant with its name.
    pub fn sources() -> Vec<(String, String)> {
        let variants = [false, true].into_iter().flat_map(|weight| {
            [(false, false), (true, false), (true, true)].map(|(scale, shift)| shader(weight, scale, shift))
        });
        variants.map(|shader| (shader.name(), shader.text())).collect()
    }

    /// Whether the shader computes this one: vectors of four, f32, and something to compute.
    pub fn takes(x: &Tensor<3>) -> bool {
        x.dtype() == DType::F32 && x.dims()[2].is_multiple_of(4) && !x.dims().contains(&0)
    }

    #[backend_extension(Cube)]
    trait RmsNormModulate: Backend {
        fn rms_norm_modulate(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            parts: FloatTensor<Self>,
            terms: Terms,
        ) -> FloatTensor<Self>;
    }

    impl RmsNormModulate for CubeBackend {
        fn rms_norm_modulate(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            parts: FloatTensor<Self>,
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
            let count = parts.meta.shape()[1];
            let (weight, parts) = (bound(terms.has_weight, weight, 0), bound(terms.scale.is_some(), parts, 1));
            let [scale, shift] = [terms.scale, terms.shift].map(|part| part.unwrap_or(0));
            let numbers = [tokens, width / 4, count, scale, shift].map(|number| number as u64);
            let floats = [terms.epsilon, terms.offset].map(|number| u64::from(number.to_bits()));
            let numbers = numbers.into_iter().chain(floats).collect();
            let workgroups = [tokens.div_ceil(TOKENS), batch, 1];
            let shader = shader(terms.has_weight, terms.scale.is_some(), terms.shift.is_some());
            shader.launch(&x.client, workgroups, &[&x, &weight, &parts, &y], numbers);
            y
        }
    }

    pub fn launch(x: Tensor<3>, norm: Norm, adaptation: Option<Adaptation>) -> Tensor<3> {
        let terms = Terms {
            has_weight: norm.weight.is_some(),
            scale: adaptation.as_ref().map(|adaptation| adaptation.scale),
            shift: adaptation.as_ref().and_then(|adaptation| adaptation.shift),
            epsilon: norm.epsilon as f32,
            offset: norm.offset as f32,
        };
        let x = x.into_dispatch();
        // An extension takes no optional tensors.
        let weight = norm.weight.map_or_else(|| x.clone(), Tensor::into_dispatch);
        let parts = adaptation.map_or_else(|| x.clone(), |adaptation| adaptation.parts.into_dispatch());
        Tensor::from_dispatch(Dispatch::rms_norm_modulate(x, weight, parts, terms))
    }
}
