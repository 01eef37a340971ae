//! A check while it is being made: inputs go out, outputs come in.

use std::{cell::RefCell, collections::BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};

use super::{Comparison, Reference, Report, Stored};
use crate::error::{Error, Result};

/// One reference on one device. It remembers every tensor that was used.
pub struct Comparing<'a> {
    reference: &'a Reference,
    device: Device,
    unused: RefCell<BTreeSet<String>>,
    comparisons: RefCell<Vec<Comparison>>,
}

impl<'a> Comparing<'a> {
    /// Begins a check.
    pub fn new(reference: &'a Reference, device: &Device) -> Self {
        let unused = RefCell::new(reference.tensors().keys().cloned().collect());
        Self { reference, device: device.clone(), unused, comparisons: RefCell::default() }
    }

    /// The reference.
    pub fn reference(&self) -> &Reference {
        self.reference
    }

    /// Where the model runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the reference has a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.reference.has(name)
    }

    /// Takes a tensor as used; what belongs to another model of the same reference is.
    pub(super) fn skip(&self, is_skipped: impl Fn(&str) -> bool) {
        self.unused.borrow_mut().retain(|name| !is_skipped(name));
    }

    /// A stored tensor as it is.
    ///
    /// # Errors
    ///
    /// `bad-model` if there is none.
    pub fn stored(&self, name: &str) -> Result<&'a Stored> {
        self.unused.borrow_mut().remove(name);
        self.reference.tensors().get(name).ok_or_else(|| self.refusal(name).expected("a tensor").found("none"))
    }

    /// A stored tensor that must have this shape, as what is to be compared with it has.
    ///
    /// # Errors
    ///
    /// `bad-model` if there is none, or it has another shape.
    pub(super) fn expected(&self, name: &str, shape: &[usize]) -> Result<&'a [f32]> {
        let stored = self.stored(name)?;
        if stored.shape == shape {
            return Ok(&stored.values);
        }
        Err(self.of_another_model(name, format!("{shape:?}")))
    }

    fn of_another_model(&self, name: &str, expected: String) -> Error {
        let found = self.reference.tensors().get(name).map(|stored| format!("{:?}", stored.shape));
        self.refusal(name)
            .expected(format!("the shape {expected}"))
            .found(found.unwrap_or_default())
            .remedy("the reference is of another model")
    }

    /// A stored tensor on the device, whose sides are those that are given, where one is given.
    ///
    /// # Errors
    ///
    /// `bad-model` if there is none, or it has another shape.
    pub fn input<const D: usize>(&self, name: &str, sides: [Option<usize>; D]) -> Result<Tensor<D>> {
        let Stored { shape, values } = self.stored(name)?;
        let is_side =
            |(&side, wanted): (&usize, &Option<usize>)| side > 0 && wanted.is_none_or(|wanted| wanted == side);
        if shape.len() != D || !shape.iter().zip(&sides).all(is_side) {
            let sides = sides.map(|side| side.map_or("any".to_owned(), |side| side.to_string()));
            return Err(self.of_another_model(name, format!("[{}]", sides.join(", "))));
        }
        Ok(Tensor::from_data(TensorData::new(values.clone(), shape.clone()), &self.device))
    }

    /// Compares what was computed with what is stored under this name, if anything is.
    ///
    /// # Errors
    ///
    /// `bad-model` if the stored tensor has another shape, `device-lost` if the device does not answer.
    pub fn compare<const D: usize>(&self, name: &str, found: Tensor<D>) -> Result<()> {
        if !self.has(name) {
            return Ok(());
        }
        let expected = self.expected(name, &found.dims())?;
        self.compare_values(name, &numbers(name, found)?, expected);
        Ok(())
    }

    /// Notes how far `found` is from `expected`, a part of the stored tensor of this name.
    pub(super) fn compare_values(&self, name: &str, found: &[f32], expected: &[f32]) {
        self.unused.borrow_mut().remove(name);
        self.comparisons.borrow_mut().push(Comparison::new(name, found, expected));
    }

    /// `bad-model` about a tensor of the reference.
    pub(super) fn refusal(&self, name: &str) -> Error {
        Error::bad_model(format!("{}: {name}", self.reference.name()))
    }

    /// What came of it. What was never looked at counts only where all of the reference was asked for.
    pub fn finish(self, all: bool) -> Report {
        let unused = self.unused.into_inner();
        let not_computed = if all { unused.into_iter().collect() } else { Vec::new() };
        Report { comparisons: self.comparisons.into_inner(), not_computed }
    }
}

/// The numbers of a tensor that was computed for `name`.
pub(super) fn numbers<const D: usize>(name: &str, tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().map_err(|error| Error::device_lost(name, format!("{error:?}")))?;
    Ok(data.iter::<f32>().collect())
}
