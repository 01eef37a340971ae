//! Parameters, optimizer state and counters on disk, as safetensors; written beside and renamed, so that an
//! interrupted save leaves the former one.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Tensor, TensorData},
};
use flagdit::weights::params::Params;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{groups::Moments, optimizer::Optimizer, walk::Path as Name};

/// A named tensor in memory.
pub type Named = (String, Vec<usize>, Vec<f32>);

/// Where a stage of the training stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counters {
    /// Pictures seen.
    pub pictures: u64,
    /// Steps taken.
    pub steps: u64,
    /// Seconds spent.
    pub seconds: f64,
}

#[derive(Default)]
struct Collect {
    path: Name,
    tensors: Vec<Named>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        self.tensors.push((self.path.name(), shape, values(tensor)));
    }
}

/// A tensor's values in row-major order.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// All parameters of a module by name.
pub fn parameters<M: Module>(module: &M) -> Vec<Named> {
    let mut collect = Collect::default();
    module.visit(&mut collect);
    collect.tensors
}

/// All parameters of a module, averaged weights in place of the last ones.
pub fn averaged<M: Module>(module: &M, optimizer: &Optimizer) -> Vec<Named> {
    let mut moments = optimizer.moments();
    let average = |(name, shape, last): Named| {
        let values = moments.remove(&name).map_or(last, |moments| moments.average);
        (name, shape, values)
    };
    parameters(module).into_iter().map(average).collect()
}

/// Saves a stage.
pub fn save<M: Module>(path: &Path, module: &M, optimizer: &Optimizer, counters: Counters) -> Result<()> {
    let mut tensors = parameters(module);
    for (name, moments) in optimizer.moments() {
        let state = [("m", Some(moments.first)), ("v", moments.second), ("ema", Some(moments.average))];
        for (kind, values) in state.into_iter().filter_map(|(kind, values)| Some((kind, values?))) {
            tensors.push((format!("{kind}/{name}"), vec![values.len()], values));
        }
    }
    let metadata = HashMap::from([
        ("pictures".to_owned(), counters.pictures.to_string()),
        ("steps".to_owned(), counters.steps.to_string()),
        ("seconds".to_owned(), counters.seconds.to_string()),
    ]);
    write(path, &tensors, metadata)
}

/// Writes tensors with metadata, beside first.
pub fn write(path: &Path, tensors: &[Named], metadata: HashMap<String, String>) -> Result<()> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<_, safetensors::SafeTensorError>>();
    let partial = path.with_extension("partial");
    safetensors::serialize_to_file(views?, Some(metadata), &partial)?;
    fs::rename(&partial, path).with_context(|| format!("checkpoint {}", path.display()))
}

/// Reads every tensor of a checkpoint, and its counters.
pub fn read(path: &Path) -> Result<(Vec<Named>, Counters)> {
    let bytes = fs::read(path).with_context(|| format!("checkpoint {}", path.display()))?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let number = |key: &str| metadata.get(key).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let counters =
        Counters { pictures: number("pictures") as u64, steps: number("steps") as u64, seconds: number("seconds") };
    let tensors = SafeTensors::deserialize(&bytes)?
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let floats = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            (name, view.shape().to_vec(), floats.collect())
        })
        .collect();
    Ok((tensors, counters))
}

/// Parameters for a module, and the optimizer's state, from a checkpoint; parameters are made on `device`.
pub fn load(path: &Path, device: &Device) -> Result<(Params, Optimizer, Counters)> {
    let (tensors, counters) = read(path)?;
    let (state, parameters): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|(name, ..)| name.contains('/'));
    let plain = device.clone().without_autodiff();
    let mut parts: HashMap<String, Tensor<1>> = state
        .into_iter()
        .map(|(name, shape, values)| (name, Tensor::from_data(TensorData::new(values, shape), &plain)))
        .collect();
    let mut kept = BTreeMap::new();
    for (name, ..) in &parameters {
        let mut part = |kind: &str| parts.remove(&format!("{kind}/{name}"));
        if let (Some(first), second, Some(average)) = (part("m"), part("v"), part("ema")) {
            kept.insert(name.clone(), Moments { first, second, average });
        }
    }
    Ok((Params::from_values(parameters, device), Optimizer::resumed(counters.steps, kept), counters))
}
