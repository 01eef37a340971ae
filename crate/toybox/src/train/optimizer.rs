//! One step over a module's named parameters: Muon for the matrices inside the networks, AdamW for the rest, with
//! global gradient clipping and an average of the weights.
//!
//! Burn's optimizers clip every parameter by itself and restore their state on the default device; a resumable
//! training on a chosen device wants the norm of all gradients together and state that is kept by name. Nothing is read
//! back in a step, for a GPU would wait for it: the norm stays where it was computed.

use std::collections::{BTreeMap, BTreeSet};

use burn::{module::Module, tensor::Tensor};

use super::{
    groups::{Group, Moments, arrange},
    muon,
    parallel::{GradientMap, each, is_gpu},
    recipe::Method,
    walk,
};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.95;
const EPSILON: f64 = 1e-8;
/// Gradients are scaled down to this global norm.
const CLIP: f64 = 1.0;
/// Keeps the clipping of gradients that are all zero finite.
const LEAST_NORM: f64 = 1e-12;
/// A GPU sums so many numbers by one invocation.
const ROW: usize = 256;

/// AdamW (Loshchilov and Hutter, 2019) with decoupled decay of matrices only, and [`muon`] where it applies.
#[derive(Default)]
pub struct Optimizer {
    /// Steps taken.
    pub steps: u64,
    groups: Vec<Group>,
    /// Of parameters that had no gradient yet in this process.
    waiting: BTreeMap<String, Moments>,
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

impl Optimizer {
    /// After so many steps, with what was kept for each parameter.
    pub fn resumed(steps: u64, kept: BTreeMap<String, Moments>) -> Self {
        Self { steps, groups: Vec::new(), waiting: kept }
    }

    /// What is kept, by parameter name.
    pub fn moments(&self) -> BTreeMap<String, Moments<Vec<f32>>> {
        let waiting = self.waiting.iter().map(|(name, moments)| (name.clone(), moments.clone().read()));
        waiting.chain(self.groups.iter().flat_map(Group::read)).collect()
    }

    /// One step with these gradients. Parameters without one are left alone. Groups are independent of each other, so on a
    /// CPU every core takes some.
    pub fn step<M: Module>(&mut self, model: M, gradients: GradientMap, mut options: StepOptions) -> M {
        let on_gpu = gradients.values().next().is_some_and(|gradient| is_gpu(&gradient.device()));
        self.steps += 1;
        // Early in the training a long memory would average in the random start.
        options.ema = options.ema.min((1.0 + self.steps as f64) / (10.0 + self.steps as f64));
        self.arrange(&model, &gradients, options.method, on_gpu);
        let (learning, resting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.groups).into_iter().partition(|group| group.is_in(&gradients));
        let squared = |group: Group| {
            let gradient = group.joined(&gradients);
            let square = total(gradient.clone() * gradient.clone(), on_gpu);
            (group, gradient, square)
        };
        let learning = each(learning, on_gpu, squared);
        let Some(square) = learning.iter().map(|(.., square)| square.clone()).reduce(|sum, square| sum + square) else {
            self.groups = resting;
            return model; // Without gradients there is nothing to learn.
        };
        let scale = ((square.sqrt() + LEAST_NORM).recip() * CLIP).clamp_max(1.0); // [1]
        let update = Update { options, corrections: self.corrections() };
        let learning = each(learning, on_gpu, |(group, gradient, _)| update.apply(group, gradient * scale.clone()));
        let values = learning.iter().flat_map(Group::weights).collect();
        self.groups = learning.into_iter().chain(resting).collect();
        walk::replaced(model, values)
    }

    /// Makes groups of which either every member has a gradient or none.
    fn arrange<M: Module>(&mut self, model: &M, gradients: &GradientMap, method: Method, on_gpu: bool) {
        let groups = std::mem::take(&mut self.groups);
        self.groups = groups.into_iter().flat_map(|group| group.parted(|name| gradients.contains_key(name))).collect();
        let known: BTreeSet<&str> = self.groups.iter().flat_map(Group::names).collect();
        let is_new = |name: &str| gradients.contains_key(name) && !known.contains(name);
        if gradients.keys().any(|name| is_new(name)) {
            let new = walk::flat(model, is_new);
            self.groups.extend(arrange(new, &mut self.waiting, method, on_gpu));
        }
    }

    fn corrections(&self) -> (f64, f64) {
        let steps = self.steps as i32;
        (1.0 - BETA_1.powi(steps), 1.0 - BETA_2.powi(steps))
    }
}

/// The sum of all of x, `[1]`. On a GPU row by row: Burn's stock sum has one invocation walk along a whole axis.
fn total(mut x: Tensor<1>, on_gpu: bool) -> Tensor<1> {
    while on_gpu && x.dims()[0] > ROW {
        let missing = x.dims()[0].next_multiple_of(ROW) - x.dims()[0];
        if missing > 0 {
            x = Tensor::cat(vec![x.clone(), Tensor::zeros([missing], &x.device())], 0);
        }
        let rows = x.dims()[0] / ROW;
        x = x.reshape([rows, ROW]).sum_dim(1).reshape([rows]); // [rows]
    }
    x.sum()
}

/// The arithmetic of one step.
struct Update {
    options: StepOptions,
    corrections: (f64, f64),
}

impl Update {
    fn apply(&self, group: Group, gradient: Tensor<1>) -> Group {
        let StepOptions { rate, decay, ema, .. } = self.options;
        let Moments { first, second, average } = group.moments.clone();
        let (direction, first, second) = match group.matrix {
            Some(shape) => {
                let (direction, first) = muon::direction(first, gradient, shape);
                (direction, first, None)
            }
            None => self.adam(first, second, gradient),
        };
        let decay = if group.decays { decay } else { 0.0 };
        let weights = group.weights.clone() * (1.0 - rate * decay) - direction * rate;
        let average = average * ema + weights.clone() * (1.0 - ema);
        group.after(weights, Moments { first, second, average })
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
