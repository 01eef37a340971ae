//! Data parallelism on the cores of one machine: every core takes a part of the batch through the whole network.
//!
//! Burn's CPU backend spreads single operations over the cores; those of a small network are too short for that,
//! and a third of the machine stays idle. Parts of a batch never wait for each other. A GPU takes all at once, and its
//! kernels from one thread: there the cores render what it learns from.

use std::{collections::BTreeMap, thread::available_parallelism};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor},
};
use flagdit::kernels;
use rayon::prelude::*;

use super::walk::Path;

/// Gradients by parameter name, flat, on the plain device.
pub type GradientMap = BTreeMap<String, Tensor<1>>;

/// Whether a device, with or without autodiff, is a GPU.
pub fn is_gpu(device: &Device) -> bool {
    kernels::run_on(&device.clone().without_autodiff())
}

/// The mean loss over `parts`, `[1]` on the plain device, and its gradients. Every part counts by its `weight`, which sum
/// to one.
pub fn gradients<M, P>(
    model: &M,
    device: &Device,
    parts: Vec<(f64, P)>,
    loss: impl Fn(&M, P) -> Tensor<1> + Sync,
) -> (Tensor<1>, GradientMap)
where
    M: Module + Send,
    P: Send,
{
    // A fork has leaves of its own: parts that shared them would share a graph, and wait for its lock.
    let fork = |(weight, part)| (weight, part, model.clone().fork(device));
    let forks: Vec<_> = parts.into_iter().map(fork).collect();
    let of_part = |(weight, part, model): (f64, P, M)| {
        let loss = loss(&model, part) * weight;
        (loss.clone().inner(), collect(&model, &loss.backward()))
    };
    let results = each(forks, is_gpu(device), of_part);
    results.into_iter().reduce(add).expect("a batch has a part")
}

fn add((loss, mut sum): (Tensor<1>, GradientMap), (other, more): (Tensor<1>, GradientMap)) -> (Tensor<1>, GradientMap) {
    for (name, gradient) in more {
        let total = match sum.remove(&name) {
            Some(present) => present + gradient,
            None => gradient,
        };
        sum.insert(name, total);
    }
    (loss + other, sum)
}

/// What `work` makes of every item, in order: on the CPU side by side, on a GPU by this thread.
pub fn each<T: Send, R: Send>(items: Vec<T>, is_gpu: bool, work: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    match is_gpu {
        true => items.into_iter().map(work).collect(),
        false => items.into_par_iter().map(work).collect(),
    }
}

/// Splits `count` items among the workers of a device: start, length and share of every part.
pub fn split(count: usize, device: &Device) -> Vec<(usize, usize, f64)> {
    let workers = if is_gpu(device) { 1 } else { rayon::current_num_threads() };
    let workers = workers.clamp(1, count.max(1));
    let bound = |part: usize| count * part / workers;
    let part = |i: usize| (bound(i), bound(i + 1) - bound(i), (bound(i + 1) - bound(i)) as f64 / count as f64);
    (0..workers).map(part).collect()
}

/// How many threads render for a training on this device: all cores but the one that drives a GPU, or one beside those
/// that learn.
pub fn renderers(device: &Device) -> usize {
    let cores = available_parallelism().map_or(1, usize::from);
    if is_gpu(device) { (cores - 1).max(1) } else { 1 }
}

struct Collect<'a> {
    gradients: &'a Gradients,
    path: Path,
    map: GradientMap,
}

fn collect<M: Module>(model: &M, gradients: &Gradients) -> GradientMap {
    let mut collect = Collect { gradients, path: Path::default(), map: GradientMap::new() };
    model.visit(&mut collect);
    collect.map
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            let length = gradient.dims().iter().product::<usize>();
            self.map.insert(self.path.name(), gradient.reshape([length])); // [all]
        }
    }
}
