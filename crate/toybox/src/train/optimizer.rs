//! One step over a module's named parameters: Muon for the matrices inside the networks, AdamW for the rest, with
//! global gradient clipping and an average of the weights.
//!
//! Burn's optimizers clip every parameter by itself and restore their state on the default device; a resumable
//! training on a chosen device wants the norm of all gradients together and state that is kept by name.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::Tensor,
};
use rayon::prelude::*;

use super::{muon, parallel::GradientMap, recipe::Method};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.95;
const EPSILON: f64 = 1e-8;
/// Gradients are scaled down to this global norm.
const CLIP: f64 = 1.0;

/// What is kept for one parameter, flat, on the plain device.
#[derive(Clone)]
pub struct Moments {
    /// Mean of the gradient (Muon: its decayed sum).
    pub first: Tensor<1>,
    /// Mean of its square; Muon keeps none.
    pub second: Option<Tensor<1>>,
    /// Average of the weights.
    pub average: Tensor<1>,
}

/// AdamW (Loshchilov and Hutter, 2019) with decoupled decay of matrices only, and [`muon`] where it applies.
#[derive(Default)]
pub struct Optimizer {
    /// By parameter name.
    pub moments: BTreeMap<String, Moments>,
    /// Steps taken.
    pub steps: u64,
}

/// How one step goes.
#[derive(Clone, Copy)]
pub struct StepOptions {
    /// Learning rate.
    pub rate: f64,
    /// Decoupled weight decay of matrices.
    pub decay: f64,
    /// Decay of the averaged weights.
    pub ema: f64,
    /// What matrices inside the networks go by.
    pub method: Method,
}

/// The path of a parameter while a module is walked.
#[derive(Default)]
pub struct Path(Vec<String>);

impl Path {
    /// Into a part. The variants of an enum have no part in the names of parameters.
    pub fn enter(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.0.push(name.to_owned());
        }
    }

    /// Out again.
    pub fn exit(&mut self, container: &str) {
        if !is_enum(container) {
            self.0.pop();
        }
    }

    /// The dotted name.
    pub fn name(&self) -> String {
        self.0.join(".")
    }
}

fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}

impl Optimizer {
    /// One step with these gradients. Parameters are independent of each other, so every core takes some.
    pub fn step<M: Module>(&mut self, model: M, gradients: GradientMap, mut options: StepOptions) -> M {
        let square = |gradient: &Tensor<1>| f64::from((gradient.clone() * gradient.clone()).sum().into_scalar::<f32>());
        let norm = gradients.values().map(square).sum::<f64>().sqrt();
        self.steps += 1;
        // Early in the training a long memory would average in the random start.
        options.ema = options.ema.min((1.0 + self.steps as f64) / (10.0 + self.steps as f64));
        let scale = if norm > CLIP { CLIP / norm } else { 1.0 };
        let mut walk = Collect { optimizer: self, gradients, scale, parameters: Vec::new(), path: Path::default() };
        model.visit(&mut walk);
        let update = Update { options, corrections: walk.optimizer.corrections() };
        let updated: Vec<_> = walk.parameters.into_par_iter().map(|parameter| update.apply(parameter)).collect();
        let mut values = BTreeMap::new();
        for (name, weights, moments) in updated {
            self.moments.insert(name.clone(), moments);
            values.insert(name, weights);
        }
        model.map(&mut Replace { values, path: Path::default() })
    }

    fn corrections(&self) -> (f64, f64) {
        let steps = self.steps as i32;
        (1.0 - BETA_1.powi(steps), 1.0 - BETA_2.powi(steps))
    }
}

/// A parameter with all that its update needs, flat, on the plain device.
struct Parameter {
    name: String,
    shape: Vec<usize>,
    weights: Tensor<1>,
    gradient: Tensor<1>,
    moments: Option<Moments>,
}

/// Gathers the parameters that have a gradient.
struct Collect<'a> {
    optimizer: &'a mut Optimizer,
    gradients: GradientMap,
    scale: f64,
    parameters: Vec<Parameter>,
    path: Path,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        let Some(gradient) = self.gradients.remove(&name) else { return };
        let tensor = param.val().inner();
        let shape = tensor.dims().to_vec();
        let weights = tensor.reshape([shape.iter().product::<usize>()]); // [all]
        let moments = self.optimizer.moments.remove(&name);
        self.parameters.push(Parameter { name, shape, weights, gradient: gradient * self.scale, moments });
    }
}

/// The arithmetic of one step.
struct Update {
    options: StepOptions,
    corrections: (f64, f64),
}

impl Update {
    fn apply(&self, parameter: Parameter) -> (String, Tensor<1>, Moments) {
        let Parameter { name, shape, weights, gradient, moments } = parameter;
        let average = moments.as_ref().map_or_else(|| weights.clone(), |old| old.average.clone());
        let (first, second) = moments.map_or((None, None), |old| (Some(old.first), old.second));
        let first = first.unwrap_or_else(|| weights.zeros_like());
        let StepOptions { rate, decay, ema, method } = self.options;
        let (direction, first, second) = if method == Method::Muon && muon::applies(&name, &shape) {
            let (direction, first) = muon::direction(first, gradient, &shape);
            (direction, first, None)
        } else {
            self.adam(first, second, gradient)
        };
        let decay = if shape.len() > 1 { decay } else { 0.0 };
        let updated = weights * (1.0 - rate * decay) - direction * rate;
        let average = average * ema + updated.clone() * (1.0 - ema);
        (name, updated, Moments { first, second, average })
    }

    fn adam(
        &self,
        first: Tensor<1>,
        second: Option<Tensor<1>>,
        gradient: Tensor<1>,
    ) -> (Tensor<1>, Tensor<1>, Option<Tensor<1>>) {
        let second = second.unwrap_or_else(|| gradient.zeros_like());
        let first = first * BETA_1 + gradient.clone() * (1.0 - BETA_1);
        let second = second * BETA_2 + gradient.clone() * gradient * (1.0 - BETA_2);
        let (bias_1, bias_2) = self.corrections;
        let direction = first.clone() / bias_1 / ((second.clone() / bias_2).sqrt() + EPSILON);
        (direction, first, Some(second))
    }
}

/// Puts the updated values in place.
struct Replace {
    values: BTreeMap<String, Tensor<1>>,
    path: Path,
}

impl ModuleMapper for Replace {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let tensor = match self.values.remove(&self.path.name()) {
            Some(values) => Tensor::from_inner(values.reshape(tensor.dims())).require_grad(),
            None => tensor,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}
