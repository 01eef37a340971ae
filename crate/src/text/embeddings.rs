//! Token embeddings, read where they are stored: the table of a large vocabulary has a gigabyte, and a prompt needs a few
//! dozen rows of it.

use burn::tensor::{Device, Tensor, TensorData};

use crate::{
    error::{Error, Result},
    weights::Reader,
};

/// The table's name in a model folder, `[V, C]`.
pub const TABLE: &str = "text.embed_tokens.weight";

/// The rows of the table that ids name, on a device, and the ids as numbers of these rows.
pub struct Gathered {
    /// `[U, C]`, of so many different ids.
    pub table: Tensor<2>,
    /// As they came, but counted in rows of `table`.
    pub ids: Vec<Vec<u32>>,
}

/// Reads the embeddings of `ids`, one row a prompt.
///
/// # Errors
///
/// `bad-model` if there is no table or an id is beyond it; those of reading it.
pub async fn gather(reader: &Reader, ids: &[Vec<u32>], device: &Device) -> Result<Gathered> {
    let mut known: Vec<u32> = ids.concat();
    known.sort_unstable();
    known.dedup();
    let mut values = Vec::new();
    for &id in &known {
        let row = id as usize;
        values.extend(reader.rows(TABLE, row..row + 1).await?.values);
    }
    let width = values.len() / known.len().max(1);
    let number = |id: &u32| {
        known.binary_search(id).map(|row| row as u32).map_err(|_| Error::bad_model(TABLE).found(format!("no row {id}")))
    };
    let rows = |row: &Vec<u32>| row.iter().map(number).collect::<Result<Vec<_>>>();
    Ok(Gathered {
        table: Tensor::from_data(TensorData::new(values, [known.len(), width]), device),
        ids: ids.iter().map(rows).collect::<Result<_>>()?,
    })
}
