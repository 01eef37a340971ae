//! The header of a `.safetensors` shard, read strictly and without the rest of the file.
//!
//! A file is `N` as a little-endian u64, `N` bytes of JSON, and the tensors' bytes. The `safetensors` crate wants all of
//! it in memory; here the first `8 + N` bytes are enough, so that tensors can be read by range.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::error::{Error, Result};

/// The longest header that is read, as in the `safetensors` crate.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The bytes before the JSON, which hold its length.
pub const LENGTH_BYTES: usize = 8;
/// The name that holds remarks instead of a tensor.
const METADATA: &str = "__metadata__";
/// No network has tensors of more axes.
const MAX_RANK: usize = 8;

/// What the numbers of a stored tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Dtype {
    /// 64-bit floats (in upstream files).
    F64,
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// Brain floats (in upstream files).
    BF16,
    /// 32-bit words: codes.
    U32,
    /// 64-bit integers (in upstream files).
    I64,
    /// 32-bit integers (in upstream files).
    I32,
    /// 16-bit integers (in upstream files).
    I16,
    /// 8-bit integers (in upstream files).
    I8,
    /// Bytes (in upstream files).
    U8,
    /// A byte for each truth value (in upstream files).
    Bool,
}

impl Dtype {
    /// Bytes a number.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::F32 | Self::U32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// One tensor in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTensor {
    /// What its numbers are.
    pub dtype: Dtype,
    /// Its shape as it is stored.
    pub shape: Vec<usize>,
    /// Where its bytes begin, counted from the beginning of the file.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A shard's tensors. Their bytes lie one after another and fill the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// By name.
    pub tensors: BTreeMap<String, HeaderTensor>,
    /// Where the tensors' bytes begin: `8 + N`.
    pub data_start: u64,
}

/// How many bytes of `file` come before its tensors, from its first 8 bytes.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if the header would be longer than
/// [`MAX_HEADER_BYTES`] or than the file of `file_bytes`.
pub fn data_start(file: &str, start: &[u8], file_bytes: u64) -> Result<u64> {
    let Some(length) = start.first_chunk::<LENGTH_BYTES>().filter(|_| file_bytes >= LENGTH_BYTES as u64) else {
        let expected = format!("at least {LENGTH_BYTES} bytes");
        return Err(Error::bad_model(file).expected(expected).found(start.len().to_string()));
    };
    let length = u64::from_le_bytes(*length);
    let limit = MAX_HEADER_BYTES.min(file_bytes - LENGTH_BYTES as u64);
    if length > limit {
        let expected = format!("at most {limit} bytes");
        return Err(Error::bad_model(format!("{file}: header")).expected(expected).found(length.to_string()));
    }
    Ok(LENGTH_BYTES as u64 + length)
}

/// Reads the header of `file` from `start`, its first `8 + N` bytes or more.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel), which names the tensor, if the header is not JSON of the
/// right form, a name stands twice, a dtype is unknown, a shape's size is not that of its bytes, or the tensors' bytes
/// overlap, leave a hole, or do not end where the file of `file_bytes` ends.
pub fn parse(file: &str, start: &[u8], file_bytes: u64) -> Result<Header> {
    let data_start = data_start(file, start, file_bytes)?;
    let subject = format!("{file}: header");
    let json = usize::try_from(data_start).ok().and_then(|end| start.get(LENGTH_BYTES..end)).ok_or_else(|| {
        Error::bad_model(&subject).expected(format!("{data_start} bytes")).found(start.len().to_string())
    })?;
    if json.first() != Some(&b'{') {
        return Err(Error::bad_model(subject).expected("JSON that begins with '{'").found("something else"));
    }
    let Entries(entries) = serde_json::from_slice(json).map_err(|error| {
        Error::bad_model(&subject)
            .expected("safetensors names with dtype, shape and data_offsets")
            .found(error.to_string())
    })?;
    let data_bytes = file_bytes - data_start;
    check_offsets(file, &entries, data_bytes)?;
    let tensors = entries.into_iter().map(|(name, entry)| {
        check_size(file, &name, &entry)?;
        let [from, to] = entry.data_offsets;
        let Entry { dtype, shape, .. } = entry;
        Ok((name, HeaderTensor { dtype, shape, offset: data_start + from, bytes: to - from }))
    });
    Ok(Header { tensors: tensors.collect::<Result<_>>()?, data_start })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The header as it stands, with every name once. serde_json alone would keep the last of two equal names.
struct Entries(BTreeMap<String, Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = BTreeMap::new();
        let mut has_metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            let in_tensor = |error: A::Error| A::Error::custom(format!("{name:?}: {error}"));
            let twice = if name == METADATA {
                map.next_value::<BTreeMap<String, String>>().map_err(in_tensor)?;
                std::mem::replace(&mut has_metadata, true)
            } else {
                let entry = map.next_value().map_err(in_tensor)?;
                entries.insert(name.clone(), entry).is_some()
            };
            if twice {
                return Err(A::Error::custom(format!("the name {name:?} stands twice")));
            }
        }
        Ok(Entries(entries))
    }
}

/// Taken by offset, each tensor must begin where the one before it ended, and the last must end with the file.
fn check_offsets(file: &str, entries: &BTreeMap<String, Entry>, data_bytes: u64) -> Result<()> {
    let mut by_offset: Vec<_> = entries.iter().map(|(name, entry)| (entry.data_offsets, name)).collect();
    by_offset.sort_unstable();
    let mut end = 0;
    for ([from, to], name) in by_offset {
        if from != end || to < from {
            return Err(Error::bad_model(format!("{file}: {name}: data_offsets"))
                .expected(format!("bytes from {end} on"))
                .found(format!("{from} to {to}")));
        }
        end = to;
    }
    if end != data_bytes {
        return Err(Error::bad_model(file)
            .expected(format!("{end} bytes of tensors, as its header says"))
            .found(data_bytes.to_string())
            .remedy("download the file again"));
    }
    Ok(())
}

/// The bytes of a tensor must be as many as its shape and dtype say.
fn check_size(file: &str, name: &str, entry: &Entry) -> Result<()> {
    let rank = entry.shape.len();
    if rank > MAX_RANK {
        let subject = format!("{file}: {name}: shape");
        return Err(Error::bad_model(subject).expected(format!("at most {MAX_RANK} axes")).found(rank.to_string()));
    }
    let size = entry.shape.iter().try_fold(entry.dtype.size(), |size, side| size.checked_mul(*side));
    let [from, to] = entry.data_offsets;
    if size.map(|size| size as u64) != Some(to - from) {
        let expected = size.map_or("a size in memory".into(), |size| format!("{size} bytes"));
        return Err(Error::bad_model(format!("{file}: {name}"))
            .expected(format!("{expected} for {:?} of {:?}", entry.shape, entry.dtype))
            .found((to - from).to_string()));
    }
    Ok(())
}
