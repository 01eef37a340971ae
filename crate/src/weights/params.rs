//! Named parameters on their way into modules: the cursor that every constructor reads from.
//!
//! A network is built in one way, `Network::new(&config, &params)`, whether its parameters come from a model
//! folder or from a seed ([`Params::random`], for training). A constructor never fails on a parameter: what is
//! missing or misshapen is collected, and [`Params::finish`] names all of it in one message, together with what
//! the file holds and no constructor asked for.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use burn::{
    module::{Param, ParamId},
    tensor::{Device, Shape, Tensor, TensorData},
};

use crate::{
    error::{Error, Result},
    kernels,
};

mod load;
mod loaded;
#[cfg(test)]
mod tests;

use loaded::{Loaded, Piece};

pub use self::loaded::Weight;
pub use super::init::Init;

enum Source {
    Loaded(BTreeMap<String, Loaded>),
    Random,
    /// Shapes only.
    Declared(BTreeMap<String, Vec<usize>>),
    /// What is asked for, to be told.
    Listed(Vec<Listed>),
}

/// A parameter that a network asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its whole name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How it starts when the network is trained from nothing.
    pub init: Init,
}

struct Store {
    source: Source,
    missing: Vec<String>,
    misshapen: Vec<String>,
}

/// A cursor into named parameters: a device, a prefix, and a store that all cursors of one network share.
#[derive(Clone)]
pub struct Params {
    store: Rc<RefCell<Store>>,
    prefix: String,
    device: Device,
}

impl Params {
    /// Parameters drawn at random as each layer's [`Init`] says; `device.seed` decides the numbers.
    pub fn random(device: &Device) -> Self {
        Self::with(Source::Random, device)
    }

    /// Names and shapes without values: a network that is built of them takes no memory and cannot run, but
    /// [`Self::finish`] says whether they are those it needs.
    pub fn declared(tensors: impl IntoIterator<Item = (String, Vec<usize>)>, device: &Device) -> Self {
        Self::with(Source::Declared(tensors.into_iter().collect()), device)
    }

    /// Nothing but a list of what is asked for: a network that is built of it takes no memory and cannot run, and then
    /// [`Self::listed`] tells its parameters.
    pub fn listing(device: &Device) -> Self {
        Self::with(Source::Listed(Vec::new()), device)
    }

    /// What was asked for of [`Self::listing`], in this order; of other parameters nothing.
    pub fn listed(&self) -> Vec<Listed> {
        match &self.store.borrow().source {
            Source::Listed(list) => list.clone(),
            Source::Loaded(_) | Source::Random | Source::Declared(_) => Vec::new(),
        }
    }

    /// Parameters from `(name, shape, values)`; values are row-major.
    pub fn from_values(tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>, device: &Device) -> Self {
        let mut params = Self::empty(device);
        for (name, shape, values) in tensors {
            params.insert(name, shape, values);
        }
        params
    }

    /// Moves one more parameter to the device.
    pub fn insert(&mut self, name: String, shape: Vec<usize>, values: Vec<f32>) {
        let length = values.len();
        let tensor = Tensor::from_data(TensorData::new(values, [length]), &self.device);
        if let Source::Loaded(map) = &mut self.store.borrow_mut().source {
            map.insert(name, Loaded::new(Piece::Dense(shape, tensor)));
        }
    }

    /// Puts a piece of the parameter `name` below those that are there.
    fn append(&self, name: &str, piece: Piece) {
        if let Source::Loaded(map) = &mut self.store.borrow_mut().source {
            match map.get_mut(name) {
                Some(loaded) => loaded.append(piece),
                None => drop(map.insert(name.to_owned(), Loaded::new(piece))),
            }
        }
    }

    /// Loaded ones, of which none is there.
    fn empty(device: &Device) -> Self {
        Self::with(Source::Loaded(BTreeMap::new()), device)
    }

    fn with(source: Source, device: &Device) -> Self {
        let store = Store { source, missing: Vec::new(), misshapen: Vec::new() };
        Self { store: Rc::new(RefCell::new(store)), prefix: String::new(), device: device.clone() }
    }

    /// The device on which parameters are made.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The cursor of the part `name`.
    pub fn child(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), ..self.clone() }
    }

    /// The matrix `name` of a linear layer, `[out, in]`, as it was stored if the device multiplies by that.
    pub fn matrix(&self, name: &str, shape: [usize; 2], init: Init) -> Weight {
        // The CPU's product reads W by columns, and would copy it into that order every time.
        let arrange = if kernels::run_on(&self.device) { |matrix| matrix } else { by_columns };
        let full = format!("{}{name}", self.prefix);
        if let Source::Loaded(map) = &mut self.store.borrow_mut().source
            && map.get(&full).is_some_and(|loaded| loaded.shape() == shape)
            && let Some(loaded) = map.remove(&full)
        {
            return loaded.into_weight(shape, arrange);
        }
        Weight::Dense(self.parameter(name, shape, init, arrange))
    }

    /// The parameter `name` with exactly this shape.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D], init: Init) -> Param<Tensor<D>> {
        self.parameter(name, shape, init, |values| values)
    }

    /// [`Self::tensor`], what was loaded arranged in memory.
    fn parameter<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        init: Init,
        arrange: fn(Tensor<D>) -> Tensor<D>,
    ) -> Param<Tensor<D>> {
        let name = format!("{}{name}", self.prefix);
        let mut store = self.store.borrow_mut();
        let (found, values) = match &mut store.source {
            Source::Random => return Param::from_tensor(init.draw(shape, &self.device)),
            Source::Listed(list) => {
                list.push(Listed { name, shape: shape.to_vec(), init });
                return self.absent(shape);
            }
            Source::Loaded(map) => map.remove(&name).map(|found| (found.shape(), Some(found))).unzip(),
            Source::Declared(map) => (map.remove(&name), None),
        };
        match (found, values.flatten()) {
            (Some(found), Some(values)) if found == shape => {
                return Param::from_tensor(values.into_tensor(shape, arrange));
            }
            (Some(found), None) if found == shape => {}
            (Some(found), _) => store.misshapen.push(format!("{name} {found:?} instead of {shape:?}")),
            (None, _) => store.missing.push(name),
        }
        // `finish` refuses the network.
        self.absent(shape)
    }

    /// Never materialised: a lying config must not allocate anything here.
    fn absent<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        let zeros = move |device: &Device, _| Tensor::zeros(shape, device);
        Param::uninitialized(ParamId::new(), zeros, self.device.clone(), false, Shape::from(shape))
    }

    /// Ends the construction of the network `subject`.
    ///
    /// # Errors
    ///
    /// `bad-model` that lists every parameter that was missing, misshapen, or left over.
    pub fn finish(&self, subject: &str) -> Result<()> {
        let store = self.store.borrow();
        let of_this = |names: &mut dyn Iterator<Item = &String>| -> Vec<String> {
            names.filter(|name| name.starts_with(&self.prefix)).cloned().collect()
        };
        let left = match &store.source {
            Source::Loaded(map) => of_this(&mut map.keys()),
            Source::Declared(map) => of_this(&mut map.keys()),
            Source::Random | Source::Listed(_) => Vec::new(),
        };
        let (missing, misshapen) = (of_this(&mut store.missing.iter()), of_this(&mut store.misshapen.iter()));
        let complaints: Vec<String> =
            [("missing", &missing), ("misshapen", &misshapen), ("not in the configuration", &left)]
                .iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(what, names)| format!("{what}: {}", list(names)))
                .collect();
        if complaints.is_empty() {
            return Ok(());
        }
        Err(Error::bad_model(subject)
            .expected("exactly the tensors that its configuration calls for")
            .found(complaints.join("; "))
            .remedy("convert the model again, or give the configuration that belongs to these weights"))
    }
}

/// The names, the first dozen written out.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

/// The same matrix, column after column in memory.
fn by_columns(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, cols] = matrix.dims();
    let values = matrix.transpose().reshape([rows * cols]); // [cols · rows], copied in this order
    values.reshape([cols, rows]).transpose() // [rows, cols]
}
