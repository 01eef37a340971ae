//! Parameters of a model folder, on their way to the device.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};

use super::{Params, loaded::Piece};
use crate::{
    device::{Capacity, Device},
    error::{Error, Result},
    kernels::{self, QuantMatrix},
    progress::pause,
    quant::Format,
    weights::{
        Placement, RawData, RawTensor, Reader,
        expand::{Expanded, Expander, Order, expand},
    },
};

/// A matrix that takes more of a GPU goes there by so many bytes, and is put together there. The memory that it passes through
/// never shrinks in a browser, and a tab has no gigabytes of it.
const AT_ONCE: u64 = 16 << 20;

impl Params {
    /// The parameters of a model's component, one after the other onto the device, in the order of the files; the
    /// component's name and the dot after it are taken off their names. Matrices that the device cannot bind come in pieces
    /// ([`Placement`]); large ones pass through memory by parts. `moved` is told the bytes of each tensor, or piece of one, in its file.
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
        let params = Self::empty(device.burn());
        let (prefix, on_gpu) = (component.len() + 1, kernels::run_on(device.burn()));
        let stays = |raw: &RawTensor| kernels::take_packed(raw.format, params.device());
        let (placement, mut expander) = (Placement::new(&device.capacity()), Expander::new());
        let wanted = reader.names_in_order(component).into_iter().filter(|name| !left_out.contains(name));
        let entry = |name: &str| reader.manifest().tensors.get(name).map(|entry| (&entry.shape[..], entry.format));
        let pieces = |name| entry(name).map_or(Vec::new(), |(shape, format)| placement.pieces(shape, format));
        let in_parts = |name, rows: Range<usize>| match on_gpu {
            true => parts(entry(name), &rows),
            false => vec![rows],
        };
        let pieces: Vec<(&str, Vec<Range<usize>>)> = wanted
            .flat_map(|name| pieces(name).into_iter().map(move |rows| (name, rows)))
            .map(|(name, rows)| (name, in_parts(name, rows)))
            .collect();
        reader.announce(pieces.iter().flat_map(|(name, parts)| parts.iter().map(|rows| (*name, rows.clone()))));
        for (name, mut parts) in pieces {
            let rows = match parts.len() {
                1 => parts.remove(0),
                _ => {
                    params.append(&name[prefix..], put_together(reader, name, parts, params.device(), moved).await?);
                    continue;
                }
            };
            let raw = reader.raw_rows(name, rows.clone()).await?;
            let stored = if stays(&raw) { as_stored(name, &raw, params.device())? } else { None };
            match stored {
                Some(piece) => {
                    params.append(&name[prefix..], piece);
                    moved(reader.bytes_of_rows(name, rows.len()));
                }
                // The CPU's product reads a matrix by columns.
                None if raw.shape.len() == 2 && !on_gpu => expander.give(name, raw, Order::Columns),
                None => expander.give(name, raw, Order::Rows),
            }
            pause().await;
            send(params.device())?;
            while expander.is_full()
                && let Some(expanded) = expander.take()
            {
                moved(params.append_expanded(reader, prefix, expanded?));
            }
        }
        while let Some(expanded) = expander.take() {
            pause().await;
            moved(params.append_expanded(reader, prefix, expanded?));
            send(params.device())?;
        }
        Ok(params)
    }

    /// Moves a tensor, or rows of one, to the device, without the beginning of its name. Its bytes in its file.
    fn append_expanded(&self, reader: &Reader, prefix: usize, expanded: Expanded) -> u64 {
        let Expanded { name, shape, order, values } = expanded;
        let length = values.len();
        let bytes = reader.bytes_of_rows(&name, shape.first().copied().unwrap_or(1));
        let values = Tensor::from_data(TensorData::new(values, [length]), self.device());
        let piece = match (order, &shape[..]) {
            (Order::Columns, &[rows, cols]) => Piece::Columns([rows, cols], values),
            _ => Piece::Dense(shape, values),
        };
        self.append(&name[prefix..], piece);
        bytes
    }
}

/// These rows of a matrix, by as many as pass through memory at once.
fn parts(entry: Option<(&[usize], Format)>, rows: &Range<usize>) -> Vec<Range<usize>> {
    let Some((&[_, cols], format)) = entry else { return vec![rows.clone()] };
    let parts = Placement::new(&Capacity::gpu(AT_ONCE, AT_ONCE)).pieces(&[rows.len(), cols], format);
    parts.into_iter().map(|part| rows.start + part.start..rows.start + part.end).collect()
}

/// A matrix, or rows of one, on a GPU, brought there part by part; `moved` is told the bytes of each in its file.
async fn put_together(
    reader: &Reader,
    name: &str,
    parts: Vec<Range<usize>>,
    device: &burn::tensor::Device,
    moved: &mut dyn FnMut(u64),
) -> Result<Piece> {
    let mut arrived = Vec::with_capacity(parts.len());
    for rows in parts {
        let bytes = reader.bytes_of_rows(name, rows.len());
        let raw = reader.raw_rows(name, rows).await?;
        arrived.push(match as_stored(name, &raw, device)? {
            Some(piece) => piece,
            None => {
                let Expanded { shape, values, .. } = expand(name.to_owned(), raw, Order::Rows)?;
                let length = values.len();
                Piece::Dense(shape, Tensor::from_data(TensorData::new(values, [length]), device))
            }
        });
        pause().await;
        send(device)?;
        moved(bytes);
    }
    Ok(Piece::put_together(arrived))
}

/// Sends what waits on its way to the device. A GPU's queue takes dozens of tensors before it does that by itself, and all
/// of them lie in memory until then: in a browser, in memory that never shrinks.
fn send(device: &burn::tensor::Device) -> Result<()> {
    device.flush().map_err(|error| Error::device_lost("parameters on their way", error))
}

/// The matrix `name`, or rows of it, on the device in the bytes that it is stored in; nothing if it is no such matrix.
fn as_stored(name: &str, raw: &RawTensor, device: &burn::tensor::Device) -> Result<Option<Piece>> {
    let matrix = match (&raw.data, &raw.shape[..]) {
        (RawData::Quantized(encoded), [rows, cols @ ..]) => {
            QuantMatrix::upload(encoded, *rows, cols.iter().product(), raw.format, device)
        }
        (RawData::F16(values), &[rows, cols]) => QuantMatrix::upload_halves(values, rows, cols, device),
        _ => return Ok(None),
    };
    let of_tensor = |error: Error| Error::bad_model(format!("tensor {name}")).found(error.to_string());
    matrix.map(|matrix| Some(Piece::Quantized(matrix))).map_err(of_tensor)
}
