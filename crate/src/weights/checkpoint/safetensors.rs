//! The tensors of one safetensors file, from its header alone.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::weights::checkpoint::file::LocalFile;
use crate::weights::header::{self, HeaderTensor, LENGTH_BYTES};

/// What lies where in `file`.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if the header is not exactly as it should be, or the file
/// does not end where the header says.
pub(super) fn tensors(file: &LocalFile) -> Result<BTreeMap<String, HeaderTensor>> {
    let start = file.read(0, file.bytes().min(LENGTH_BYTES as u64))?;
    if let Some(length) = start.first_chunk::<LENGTH_BYTES>() {
        let needed = u64::from_le_bytes(*length).saturating_add(LENGTH_BYTES as u64);
        if needed > file.bytes() {
            return Err(Error::bad_model(file.name())
                .expected(format!("at least {needed} bytes, as it says of its header"))
                .found(file.bytes().to_string())
                .remedy("the file was cut short: download it again"));
        }
    }
    let data_start = header::data_start(file.name(), &start, file.bytes())?;
    let start = file.read(0, data_start)?;
    Ok(header::parse(file.name(), &start, file.bytes())?.tensors)
}
