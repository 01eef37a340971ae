//! Named parameters on their way into modules: the cursor that every constructor reads from.
//!
//! A network is built in one way, `Network::new(&config, &params)`, whether its parameters come from a model
//! folder or from a seed ([`Params::random`], for training). A constructor never fails on a parameter: what is
//! missing or misshapen is collected, and [`Params::finish`] names all of it in one message, together with what
//! the file holds and no constructor asked for.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use burn::{
    module::{Module, Param, ParamId},
    tensor::{Device, Shape, Tensor, TensorData},
};

use super::expand::{Expanded, Expander, Order};
use crate::{
    error::{Error, Result},
    kernels::{self, QuantMatrix},
    progress::pause,
    quant::Encoded,
    weights::{RawData, RawTensor, Reader},
};

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

/// A parameter that is on the device and waits for its network.
#[allow(clippy::large_enum_variant, reason = "there are a few hundred, and each holds megabytes")]
enum Loaded {
    Dense(Vec<usize>, Tensor<1>),
    /// A matrix of this shape, column after column.
    Columns([usize; 2], Tensor<1>),
    Quantized(QuantMatrix),
}

impl Loaded {
    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Dense(shape, _) => shape.clone(),
            Self::Columns(shape, _) => shape.to_vec(),
            Self::Quantized(matrix) => matrix.shape().to_vec(),
        }
    }

    /// As a parameter of its shape; values that lie row after row are arranged.
    fn into_tensor<const D: usize>(self, shape: [usize; D], arrange: fn(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
        match self {
            Self::Dense(_, values) => arrange(values.reshape(shape)),
            Self::Quantized(matrix) => arrange(matrix.dequantize().reshape(shape)),
            // The axes in reverse, as they lie, and back: nothing is copied. It has two, as the shape says.
            Self::Columns(_, values) => {
                let reversed: [usize; D] = std::array::from_fn(|axis| shape[D - 1 - axis]);
                values.reshape(reversed).permute(std::array::from_fn::<_, D, _>(|axis| (D - 1 - axis) as isize))
            }
        }
    }
}

/// The matrix of a linear layer.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are a few hundred, and each holds megabytes")]
pub enum Weight {
    /// `[out, in]`, as PyTorch and the shards have it.
    Dense(Param<Tensor<2>>),
    /// The same, as codes or halves. Cannot be trained.
    Quantized(QuantMatrix),
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
        let mut params = Self::with(Source::Loaded(BTreeMap::new()), device);
        for (name, shape, values) in tensors {
            params.insert(name, shape, values);
        }
        params
    }

    /// The parameters of a model's component, one after the other onto the device, in the order of the files; the
    /// component's name and the dot after it are taken off their names. `moved` is told the bytes of each in its file.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::tensor`].
    pub async fn load(reader: &Reader, component: &str, device: &Device, moved: &mut dyn FnMut(u64)) -> Result<Self> {
        Self::load_but(reader, component, &[], device, moved).await
    }

    /// [`Self::load`] without the tensors of these names.
    ///
    /// # Errors
    ///
    /// Those of [`Self::load`].
    pub async fn load_but(
        reader: &Reader,
        component: &str,
        left_out: &[&str],
        device: &Device,
        moved: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let mut params = Self::with(Source::Loaded(BTreeMap::new()), device);
        let (prefix, on_gpu) = (component.len() + 1, kernels::run_on(device));
        let mut expander = Expander::new();
        for name in reader.names_in_order(component).into_iter().filter(|name| !left_out.contains(name)) {
            let raw = reader.raw(name).await?;
            match &raw.data {
                RawData::Quantized(encoded) if on_gpu && QuantMatrix::takes(raw.format) => {
                    params.put(name[prefix..].to_owned(), Loaded::Quantized(uploaded(name, &raw, encoded, device)?));
                    moved(reader.bytes(name));
                }
                RawData::F16(values) if on_gpu && raw.shape.len() == 2 => {
                    let matrix = QuantMatrix::upload_halves(values, raw.shape[0], raw.shape[1], device);
                    params.put(
                        name[prefix..].to_owned(),
                        Loaded::Quantized(matrix.map_err(|error| damaged(name, &error))?),
                    );
                    moved(reader.bytes(name));
                }
                // The CPU's product reads a matrix by columns.
                _ if raw.shape.len() == 2 && !on_gpu => expander.give(name, raw, Order::Columns),
                _ => expander.give(name, raw, Order::Rows),
            }
            pause().await;
            while expander.is_full()
                && let Some(expanded) = expander.take()
            {
                moved(reader.bytes(&params.insert_expanded(prefix, expanded?)));
            }
        }
        while let Some(expanded) = expander.take() {
            pause().await;
            moved(reader.bytes(&params.insert_expanded(prefix, expanded?)));
        }
        Ok(params)
    }

    /// Moves a tensor to the device, without the beginning of its name. Its whole name.
    fn insert_expanded(&mut self, prefix: usize, Expanded { name, shape, order, values }: Expanded) -> String {
        let short = name[prefix..].to_owned();
        match (order, &shape[..]) {
            (Order::Columns, &[rows, cols]) => {
                let values = Tensor::from_data(TensorData::new(values, [rows * cols]), &self.device);
                self.put(short, Loaded::Columns([rows, cols], values));
            }
            _ => self.insert(short, shape, values),
        }
        name
    }

    /// Moves one more parameter to the device.
    pub fn insert(&mut self, name: String, shape: Vec<usize>, values: Vec<f32>) {
        let length = values.len();
        let tensor = Tensor::from_data(TensorData::new(values, [length]), &self.device);
        self.put(name, Loaded::Dense(shape, tensor));
    }

    fn put(&self, name: String, parameter: Loaded) {
        if let Source::Loaded(map) = &mut self.store.borrow_mut().source {
            map.insert(name, parameter);
        }
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
        let full = format!("{}{name}", self.prefix);
        let mut store = self.store.borrow_mut();
        if let Source::Loaded(map) = &mut store.source
            && matches!(map.get(&full), Some(Loaded::Quantized(matrix)) if matrix.shape() == shape)
            && let Some(Loaded::Quantized(matrix)) = map.remove(&full)
        {
            return Weight::Quantized(matrix);
        }
        drop(store);
        // The CPU's product reads W by columns, and would copy it into that order every time.
        let arrange = if kernels::run_on(&self.device) { |matrix| matrix } else { by_columns };
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

/// The matrix `name`, codes as they are, on the device.
fn uploaded(name: &str, raw: &RawTensor, encoded: &Encoded, device: &Device) -> Result<QuantMatrix> {
    let cols = raw.shape.iter().skip(1).product();
    QuantMatrix::upload(encoded, raw.shape[0], cols, raw.format, device).map_err(|error| damaged(name, &error))
}

/// What was wrong with the tensor `name`.
fn damaged(name: &str, error: &Error) -> Error {
    Error::bad_model(format!("tensor {name}")).found(error.to_string())
}

/// The same matrix, column after column in memory.
fn by_columns(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, cols] = matrix.dims();
    let values = matrix.transpose().reshape([rows * cols]); // [cols · rows], copied in this order
    values.reshape([cols, rows]).transpose() // [rows, cols]
}

/// The names, the first dozen written out.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(tensors: &[(&str, &[usize])]) -> Params {
        let tensor = |&(name, shape): &(&str, &[usize])| {
            (name.to_owned(), shape.to_vec(), vec![0.5; shape.iter().product::<usize>()])
        };
        Params::from_values(tensors.iter().map(tensor), &Device::flex())
    }

    #[test]
    fn missing_misshapen_and_surplus_tensors_are_named_together() {
        let params = stored(&[("a.weight", &[2, 3]), ("a.bias", &[4]), ("b.scale", &[1]), ("c", &[2])]);
        let a = params.child("a");
        let weight = a.tensor("weight", [2, 3], Init::Zeros);
        a.tensor("bias", [2], Init::Zeros);
        params.child("b").tensor("weight", [1], Init::Zeros);

        let message = params.finish("denoiser").unwrap_err().to_string();
        let found = "missing: b.weight; misshapen: a.bias [4] instead of [2]; not in the configuration: b.scale, c";
        assert!(message.starts_with("denoiser: ") && message.contains(found), "{message}");
        assert_eq!(weight.val().into_data().iter::<f32>().collect::<Vec<_>>(), [0.5; 6]);
    }

    #[test]
    fn exactly_what_is_called_for_is_accepted() {
        let params = stored(&[("layers.0.weight", &[2]), ("layers.1.weight", &[2])]);
        for layer in 0..2 {
            params.child("layers").child(layer).tensor("weight", [2], Init::Ones);
        }
        assert_eq!(params.finish("denoiser"), Ok(()));
    }

    /// What is done to a loaded matrix comes before it becomes a parameter: a parameter is where gradients end.
    #[test]
    fn loaded_matrices_are_those_of_the_file_and_can_be_trained() {
        let values: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let device = Device::flex().autodiff();
        let params = Params::from_values([("weight".to_owned(), vec![2, 3], values.clone())], &device);
        let Weight::Dense(weight) = params.matrix("weight", [2, 3], Init::Zeros) else { panic!("on the CPU") };
        assert_eq!(weight.val().into_data().iter::<f32>().collect::<Vec<_>>(), values);
        let gradients = (weight.val() * 3.0).sum().backward();
        let gradient = weight.val().grad(&gradients).expect("a gradient");
        assert_eq!(gradient.into_data().iter::<f32>().collect::<Vec<_>>(), [3.0; 6]);
    }

    #[test]
    fn what_is_asked_for_is_told_in_order() {
        let params = Params::listing(&Device::flex());
        params.child("b").tensor("weight", [1 << 20, 1 << 20], Init::Xavier);
        params.matrix("a", [2, 3], Init::Normal(0.5));
        let listed = |name: &str, shape: &[usize], init| Listed { name: name.to_owned(), shape: shape.to_vec(), init };
        let expected = [listed("b.weight", &[1 << 20, 1 << 20], Init::Xavier), listed("a", &[2, 3], Init::Normal(0.5))];
        assert_eq!(params.listed(), expected);
        assert_eq!(params.finish("denoiser"), Ok(()));
        assert_eq!(Params::random(&Device::flex()).listed(), []);
    }

    #[test]
    fn a_tensor_asked_for_twice_is_missing() {
        let params = stored(&[("weight", &[2])]);
        params.tensor("weight", [2], Init::Ones);
        params.tensor("weight", [2], Init::Ones);
        assert!(params.finish("denoiser").unwrap_err().to_string().contains("missing: weight"));
    }

    /// A configuration may ask for any size; the refusal must come before the memory is taken.
    #[test]
    fn absent_tensors_take_no_memory() {
        let params = stored(&[]);
        params.tensor("weight", [1 << 20, 1 << 20], Init::Zeros);
        (0..20).for_each(|layer| drop(params.child("layers").tensor::<1>(&layer.to_string(), [1], Init::Zeros)));
        let message = params.finish("denoiser").unwrap_err().to_string();
        assert!(message.contains("missing: weight, layers.0, ") && message.contains(" and 9 more"), "{message}");
    }
}
