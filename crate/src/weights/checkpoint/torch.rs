//! The tensors of one file of `torch.save`: a zip archive with a pickle, which names the tensors, and their storages.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::weights::checkpoint::file::LocalFile;
use crate::weights::checkpoint::objects::{Node, Tensor, Value, Values};
use crate::weights::checkpoint::pickle::{self, shown};
use crate::weights::checkpoint::zip::{self, Member};
use crate::weights::header::HeaderTensor;

/// What ends the name of the pickle; the folder before it is named for the file that was first written.
const PICKLE: &str = "/data.pkl";
/// A pickle has about 150 bytes a tensor.
const MAX_PICKLE_BYTES: u64 = 64 << 20;
/// Training scripts save the state dict among other things, under one of these keys. The first that is there is taken;
/// an average over the training is only taken where nothing else is.
const WRAPPERS: [&str; 4] = ["state_dict", "model", "module", "ema"];
/// How deep a state dict may lie in others.
const MAX_WRAPPERS: usize = 2;
/// How many of the keys that were found a message names.
const SHOWN_KEYS: usize = 8;

/// What lies where in `file`.
///
/// # Errors
/// [`ErrorKind::BadModel`] if the file is damaged, contains code, holds no tensors by name, or a tensor is not one
/// piece of its storage; [`ErrorKind::Unsupported`] if its numbers are big-endian.
pub(super) fn tensors(file: &LocalFile) -> Result<BTreeMap<String, HeaderTensor>> {
    let archive = Archive::open(file)?;
    let subject = format!("{}: data.pkl", file.name());
    let member = archive.pickle;
    if member.bytes > MAX_PICKLE_BYTES {
        let expected = format!("at most {MAX_PICKLE_BYTES} bytes");
        return Err(Error::bad_model(subject).expected(expected).found(member.bytes.to_string()));
    }
    let bytes = file.read(member.offset, member.bytes)?;
    let (values, whole) = pickle::load(&subject, &bytes)?;
    let Some(named) = state_dict(&values, whole, MAX_WRAPPERS) else {
        return Err(Error::bad_model(subject)
            .expected(format!("tensors by name, or a dict of them under {}", WRAPPERS.join(", ")))
            .found(keys(&values, whole))
            .remedy("save only the state dict"));
    };
    let mut tensors = BTreeMap::new();
    for (name, tensor) in named {
        let located = archive.locate(name, tensor)?;
        if tensors.insert(name.to_owned(), located).is_some() {
            return Err(Error::bad_model(format!("{subject}: {name}"))
                .expected("one tensor of that name")
                .found("two"));
        }
    }
    Ok(tensors)
}

/// The tensors of a dict by name; if it has none, those of a dict inside it.
fn state_dict<'a, 'v>(values: &'v Values<'a>, node: Node, wrappers: usize) -> Option<Vec<(&'a str, &'v Tensor<'a>)>> {
    let Value::Dict(dict) = values.get(node) else { return None };
    let tensors: Vec<_> = dict
        .iter()
        .filter_map(|(key, value)| match (values.get(*key), values.get(*value)) {
            (Value::Text(name), Value::Tensor(tensor)) => Some((*name, &**tensor)),
            _ => None,
        })
        .collect();
    if !tensors.is_empty() {
        return Some(tensors);
    }
    let inside = wrappers.checked_sub(1)?;
    WRAPPERS.into_iter().find_map(|wrapper| {
        let (_, value) = dict.iter().find(|(key, _)| *values.get(*key) == Value::Text(wrapper))?;
        state_dict(values, *value, inside)
    })
}

/// What was found instead of tensors.
fn keys(values: &Values<'_>, node: Node) -> String {
    let Value::Dict(dict) = values.get(node) else { return "something else".into() };
    let names = dict.iter().filter_map(|(key, _)| match values.get(*key) {
        Value::Text(key) => Some(shown(key)),
        _ => None,
    });
    let names: Vec<_> = names.take(SHOWN_KEYS).collect();
    if names.is_empty() { "an empty dict".into() } else { format!("a dict of {}", names.join(", ")) }
}

/// The parts of the zip archive that count.
struct Archive<'f> {
    file: &'f LocalFile,
    members: BTreeMap<String, Member>,
    /// The folder in which all lies.
    root: String,
    pickle: Member,
}

impl<'f> Archive<'f> {
    fn open(file: &'f LocalFile) -> Result<Self> {
        let members = zip::members(file)?;
        let mut pickles = members.iter().filter_map(|(name, member)| Some((name.strip_suffix(PICKLE)?, *member)));
        let (Some((root, pickle)), None) = (pickles.next(), pickles.next()) else {
            return Err(Error::bad_model(file.name())
                .expected("one data.pkl, as torch.save writes it")
                .found("another zip archive")
                .remedy("check that it is the file of a model's weights"));
        };
        let archive = Self { file, root: root.to_owned(), pickle, members };
        archive.check_byte_order()?;
        Ok(archive)
    }

    fn member(&self, path: &str) -> Option<Member> {
        self.members.get(&format!("{}/{path}", self.root)).copied()
    }

    /// Files that say nothing of it are little-endian: they are older than the note.
    fn check_byte_order(&self) -> Result<()> {
        const LITTLE: &[u8] = b"little";
        let Some(note) = self.member("byteorder") else { return Ok(()) };
        if note.bytes == LITTLE.len() as u64 && self.file.read(note.offset, note.bytes)? == LITTLE {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, self.file.name())
            .expected("little-endian numbers")
            .found("others")
            .remedy("save it on a little-endian machine, or as safetensors"))
    }

    /// Where the numbers of `tensor` lie in the file.
    fn locate(&self, name: &str, tensor: &Tensor<'_>) -> Result<HeaderTensor> {
        let subject = || format!("{}: {name}", self.file.name());
        let storage = tensor.storage;
        let size = storage.dtype.size() as u64;
        let member = self.member(&format!("data/{}", storage.key)).ok_or_else(|| {
            Error::bad_model(subject()).expected(format!("its storage {:?}", shown(storage.key))).found("none")
        })?;
        if storage.count.checked_mul(size) != Some(member.bytes) {
            return Err(Error::bad_model(subject())
                .expected(format!("{} numbers of {:?} in its storage", storage.count, storage.dtype))
                .found(format!("{} bytes", member.bytes)));
        }
        let count = contiguous_count(&tensor.shape, &tensor.strides).ok_or_else(|| {
            Error::bad_model(subject())
                .expected("a tensor that lies in one piece")
                .found(format!("{:?} with the strides {:?}", tensor.shape, tensor.strides))
                .remedy("save it after .contiguous()")
        })?;
        if tensor.offset.checked_add(count).is_none_or(|end| end > storage.count) {
            return Err(Error::bad_model(subject())
                .expected(format!("{} numbers in its storage", storage.count))
                .found(format!("{count} from {} on", tensor.offset)));
        }
        // Neither product is longer than the storage.
        let offset = member.offset + tensor.offset * size;
        Ok(HeaderTensor { dtype: storage.dtype, shape: tensor.shape.clone(), offset, bytes: count * size })
    }
}

/// How many numbers a tensor has, if the last axis is the fastest and nothing lies between. The strides of an axis with
/// one place, and of a tensor without numbers, do not matter.
fn contiguous_count(shape: &[usize], strides: &[usize]) -> Option<u64> {
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size))?;
    let mut stride = 1;
    for (size, found) in shape.iter().zip(strides).rev() {
        if count != 0 && *size != 1 && *found != stride {
            return None;
        }
        stride = stride.saturating_mul(*size);
    }
    Some(count as u64)
}
