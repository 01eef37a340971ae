//! AdamW over a module's named parameters, with global gradient clipping and an average of the weights.
//!
//! Burn's optimizer clips every parameter by itself and restores its state on the default device; a resumable
//! training on a chosen device wants the norm of all gradients together and state that is kept by name.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::Tensor,
};

use super::parallel::GradientMap;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.95;
const EPSILON: f64 = 1e-8;
/// Gradients are scaled down to this global norm.
const CLIP: f64 = 1.0;

/// What is kept for one parameter, flat, on the plain device.
#[derive(Clone)]
pub struct Moments {
    /// Mean of the gradient.
    pub first: Tensor<1>,
    /// Mean of its square.
    pub second: Tensor<1>,
    /// Average of the weights.
    pub average: Tensor<1>,
}

/// AdamW (Loshchilov and Hutter, 2019) with decoupled decay of matrices only.
#[derive(Default)]
pub struct AdamW {
    /// By parameter name.
    pub moments: BTreeMap<String, Moments>,
    /// Steps taken.
    pub steps: u64,
}

/// The path of a parameter while a module is walked.
#[derive(Default)]
pub struct Path(Vec<String>);

impl Path {
    /// Into a part.
    pub fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    /// Out again.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The dotted name.
    pub fn name(&self) -> String {
        self.0.join(".")
    }
}

impl AdamW {
    /// One step with these gradients; `ema` is the decay of the averaged weights.
    pub fn step<M: Module>(&mut self, model: M, gradients: GradientMap, rate: f64, decay: f64, ema: f64) -> M {
        let square = |gradient: &Tensor<1>| f64::from((gradient.clone() * gradient.clone()).sum().into_scalar::<f32>());
        let norm = gradients.values().map(square).sum::<f64>().sqrt();
        self.steps += 1;
        // Early in the training a long memory would average in the random start.
        let ema = ema.min((1.0 + self.steps as f64) / (10.0 + self.steps as f64));
        let scale = if norm > CLIP { CLIP / norm } else { 1.0 };
        let mut update = Update { adam: self, gradients, rate, decay, ema, scale, path: Path::default() };
        model.map(&mut update)
    }

    fn corrections(&self) -> (f64, f64) {
        let steps = self.steps as i32;
        (1.0 - BETA_1.powi(steps), 1.0 - BETA_2.powi(steps))
    }
}

struct Update<'a> {
    adam: &'a mut AdamW,
    gradients: GradientMap,
    rate: f64,
    decay: f64,
    ema: f64,
    scale: f64,
    path: Path,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove(&self.path.name()) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let shape = tensor.dims();
        let length = shape.iter().product::<usize>();
        let weights = tensor.inner().reshape([length]); // [all]
        let gradient = gradient * self.scale;
        let decay = if D > 1 { self.decay } else { 0.0 };
        let updated = self.apply(weights, gradient, decay);
        let tensor = Tensor::from_inner(updated.reshape(shape)).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}

impl Update<'_> {
    fn apply(&mut self, weights: Tensor<1>, gradient: Tensor<1>, decay: f64) -> Tensor<1> {
        let start = || Moments { first: weights.zeros_like(), second: weights.zeros_like(), average: weights.clone() };
        let name = self.path.name();
        let old = self.adam.moments.remove(&name).unwrap_or_else(start);
        let first = old.first * BETA_1 + gradient.clone() * (1.0 - BETA_1);
        let second = old.second * BETA_2 + gradient.clone() * gradient * (1.0 - BETA_2);
        let (bias_1, bias_2) = self.adam.corrections();
        let direction = first.clone() / ((second.clone() / bias_2).sqrt() + EPSILON) * (self.rate / bias_1);
        let updated = weights * (1.0 - self.rate * decay) - direction;
        let average = old.average * self.ema + updated.clone() * (1.0 - self.ema);
        self.adam.moments.insert(name, Moments { first, second, average });
        updated
    }
}
