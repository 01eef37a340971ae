//! What a file is, by its first bytes: names lie, and a download may have brought something else.

use crate::error::{Error, Result};
use crate::weights::checkpoint::file::LocalFile;
use crate::weights::header::{LENGTH_BYTES, MAX_HEADER_BYTES};

/// How many bytes tell.
const START_BYTES: u64 = 512;
/// What `torch.save` wrote before version 1.6: a pickle of a number that marks its files.
const LEGACY_TORCH: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const PICKLE_PROTOCOLS: std::ops::RangeInclusive<u8> = 2..=5;

/// The files that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A header of JSON, then the tensors.
    Safetensors,
    /// A zip archive with a pickle and the storages.
    Torch,
}

/// What `file` is.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel), which says what it is instead of a checkpoint.
pub(super) fn kind(file: &LocalFile) -> Result<FileKind> {
    let start = file.read(0, START_BYTES.min(file.bytes()))?;
    if is_safetensors(&start) {
        return Ok(FileKind::Safetensors);
    }
    let refused = |found: &str, remedy: &str| {
        let error = Error::bad_model(file.name()).expected("a safetensors file or one of torch.save");
        Err(error.found(found).remedy(remedy))
    };
    let again = "download the file again";
    let newer = "save it as safetensors, or with torch.save of PyTorch 1.6 or newer";
    let text = start.trim_ascii_start().to_ascii_lowercase();
    match start.as_slice() {
        [] => refused("an empty file", again),
        [b'P', b'K', 3, 4, ..] => Ok(FileKind::Torch),
        [b'G', b'G', b'U', b'F', ..] => refused("a GGUF file", "download the original, of which it was made"),
        start if start.starts_with(b"version https://git-lfs") => {
            refused("a Git-LFS pointer, not the file", "run git lfs pull, or download the file")
        }
        _ if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") => {
            refused("a web page", "download the file itself: its server may want a login or an agreement first")
        }
        start if start.starts_with(LEGACY_TORCH) => refused("the legacy format of torch.save", newer),
        [0x80, protocol, ..] if PICKLE_PROTOCOLS.contains(protocol) => refused("a plain pickle", newer),
        _ if file.bytes() <= LENGTH_BYTES as u64 => refused(&format!("a file of {} bytes", file.bytes()), again),
        _ => refused("something else", "check that it is the file of a model's weights"),
    }
}

/// Asked first: the length of a header may look like the beginning of anything.
fn is_safetensors(start: &[u8]) -> bool {
    let length = start.first_chunk::<LENGTH_BYTES>().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length <= MAX_HEADER_BYTES) && start.get(LENGTH_BYTES) == Some(&b'{')
}
