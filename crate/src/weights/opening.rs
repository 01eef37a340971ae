//! What is read of a model before any of its tensors: the manifest, and where the shards begin.

use crate::error::{Error, ErrorKind, Result};
use crate::weights::header::{self, LENGTH_BYTES};
use crate::weights::manifest::{self, FileEntry, Manifest};
use crate::weights::source::ByteSource;
use crate::weights::verified::VerifiedFiles;
use crate::weights::{MANIFEST, identity};

/// How much of a shard is read at first: nearly every header fits, so opening takes one request a shard.
const HEADER_GUESS_BYTES: u64 = 32 << 10;

/// The manifest of a model and the model's identity; nothing else is read.
///
/// # Errors
/// [`ErrorKind::File`] if it cannot be read, [`ErrorKind::BadModel`] if it is not as it should be.
pub async fn read_manifest(source: &dyn ByteSource) -> Result<(Manifest, String)> {
    let bytes = source.size(MANIFEST).await?;
    manifest::check_length(bytes)?;
    let text = source.read(MANIFEST, 0, bytes as usize).await?;
    Ok((Manifest::parse(&text)?, identity(&text)))
}

/// Refuses a file that is longer or shorter than the manifest says.
pub(super) async fn check_size(source: &dyn ByteSource, file: &FileEntry) -> Result<()> {
    let found = source.size(&file.path).await?;
    if found != file.bytes {
        return Err(Error::new(ErrorKind::Integrity, format!("{} in {}", file.path, source.name()))
            .expected(format!("{} bytes, as the manifest says", file.bytes))
            .found(found.to_string())
            .remedy("download the file again"));
    }
    Ok(())
}

/// The first `8 + N` bytes of a shard.
pub(super) async fn read_start(files: &VerifiedFiles, index: usize, file: &FileEntry) -> Result<Vec<u8>> {
    let guess = HEADER_GUESS_BYTES.min(file.bytes);
    let mut start = files.read_unchecked(index, 0..guess).await?;
    let length = start.get(..LENGTH_BYTES).unwrap_or(&start);
    let end = header::data_start(&file.path, length, file.bytes)?;
    if end > guess {
        start.extend(files.read_unchecked(index, guess..end).await?);
    }
    start.truncate(end as usize);
    Ok(start)
}
