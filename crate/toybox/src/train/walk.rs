//! Walks over a module's parameters by name.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::Tensor,
};

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

/// A parameter's name, shape, and values, flat, on the plain device.
pub struct Flat {
    /// The dotted name.
    pub name: String,
    /// Of the parameter.
    pub shape: Vec<usize>,
    /// `[all]`.
    pub values: Tensor<1>,
}

/// The parameters of a module whose name is `wanted`.
pub fn flat<M: Module>(module: &M, wanted: impl Fn(&str) -> bool) -> Vec<Flat> {
    let mut collect = Collect { wanted, path: Path::default(), found: Vec::new() };
    module.visit(&mut collect);
    collect.found
}

struct Collect<F> {
    wanted: F,
    path: Path,
    found: Vec<Flat>,
}

impl<F: Fn(&str) -> bool> ModuleVisitor for Collect<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        if (self.wanted)(&name) {
            let tensor = param.val().inner();
            let shape = tensor.dims().to_vec();
            let values = tensor.reshape([shape.iter().product::<usize>()]); // [all]
            self.found.push(Flat { name, shape, values });
        }
    }
}

/// The module with other values, flat, where there are some for a name.
pub fn replaced<M: Module>(module: M, values: BTreeMap<String, Tensor<1>>) -> M {
    module.map(&mut Replace { values, path: Path::default() })
}

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
