//! The numbers of a tensor on the CPU, by their strides.

use burn::{
    backend::{
        Flex,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{DType, Device, Int, Tensor, TensorData},
};

use super::super::switch;

/// A tensor of D dimensions that is plain f32 on the CPU.
pub struct Array<const D: usize> {
    tensor: FloatTensor<Flex>,
}

impl<const D: usize> Array<D> {
    /// Nothing if it is of another type, on another device, or autodiff's, or if Burn's own operations are to compute.
    pub fn of(x: &Tensor<D>) -> Option<Self> {
        if x.dtype() != DType::F32 || switch::is_on() {
            return None;
        }
        let tensor = x.clone().try_into_primitive::<Flex>().ok()?;
        let is_forward = tensor.layout().has_positive_strides();
        Some(Self { tensor: if is_forward { tensor } else { tensor.to_contiguous() } })
    }

    /// [`Self::of`], in rows, what need not be there; nothing if it is there and is refused.
    pub fn of_optional(x: Option<&Tensor<D>>) -> Option<Option<Self>> {
        x.map_or(Some(None), |x| Some(Some(Self::of(x)?.in_rows())))
    }

    /// The numbers of a row, the last dimension, side by side.
    pub fn in_rows(self) -> Self {
        let layout = self.tensor.layout();
        if layout.strides()[D - 1] == 1 || layout.shape()[D - 1] == 1 { self } else { self.copied() }
    }

    /// All numbers side by side.
    pub fn whole(self) -> Self {
        if self.tensor.is_contiguous() { self } else { self.copied() }
    }

    fn copied(self) -> Self {
        Self { tensor: self.tensor.to_contiguous() }
    }

    pub fn dims(&self) -> [usize; D] {
        std::array::from_fn(|dim| self.tensor.layout().shape()[dim])
    }

    /// 0 along what is broadcast.
    pub fn strides(&self) -> [usize; D] {
        let layout = self.tensor.layout();
        std::array::from_fn(|dim| if layout.shape()[dim] == 1 { 0 } else { layout.strides()[dim].unsigned_abs() })
    }

    /// From the first number on.
    pub fn values(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.tensor.layout().start_offset()..]
    }
}

/// Words of codes on the CPU, row after row.
pub struct Words(IntTensor<Flex>);

impl Words {
    /// Nothing if they are of another type or on another device, or if Burn's own operations are to compute.
    pub fn of(words: &Tensor<2, Int>) -> Option<Self> {
        if words.dtype() != DType::I32 || switch::is_on() {
            return None;
        }
        let words = words.clone().try_into_primitive::<Flex>().ok()?;
        Some(Self(if words.is_contiguous() { words } else { words.to_contiguous() }))
    }

    pub fn values(&self) -> &[i32] {
        &self.0.storage::<i32>()[self.0.layout().start_offset()..]
    }
}

/// Numbers, row after row, as a tensor.
pub fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}
