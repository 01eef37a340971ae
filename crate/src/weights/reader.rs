//! Opens a model and hands out its tensors one at a time, from verified bytes.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use bytemuck::Pod;
use half::f16;

use crate::error::{Error, ErrorKind, Result};
use crate::quant::{Encoded, Format, decode};
use crate::weights::check;
use crate::weights::digest::sha256_hex;
use crate::weights::header::{self, Header};
use crate::weights::manifest::{Manifest, TensorEntry};
use crate::weights::opening::{check_size, read_manifest, read_start};
use crate::weights::places::{endings, parts_of, range_of};
use crate::weights::source::ByteSource;
use crate::weights::stored::{CODES, MINS, SCALES, stored};
use crate::weights::verified::VerifiedFiles;

// Shards are little-endian, and their bytes are read into the places of numbers as they are.
const _: () = assert!(cfg!(target_endian = "little"), "flagdit runs on little-endian machines only");

/// An opened model.
pub struct Reader {
    pub(super) manifest: Manifest,
    identity: String,
    pub(super) files: VerifiedFiles,
    /// By file; `None` where a file is not a shard.
    pub(super) shards: Vec<Option<Shard>>,
}

pub(super) struct Shard {
    pub header: Header,
    /// SHA-256 of the header as it was read on opening, before any chunk was verified.
    sha256: String,
    pub is_confirmed: Cell<bool>,
}

/// A tensor as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseTensor {
    /// Its logical shape.
    pub shape: Vec<usize>,
    /// Its values, the last axis fastest.
    pub values: Vec<f32>,
}

/// A tensor as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTensor {
    /// Its logical shape; a quantized matrix is `[shape[0], the other axes]`.
    pub shape: Vec<usize>,
    /// How it is stored.
    pub format: Format,
    /// Its bits.
    pub data: RawData,
}

/// The bits of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum RawData {
    /// Codes and scales, rows padded as [`Layout`](crate::quant::Layout) says.
    Quantized(Encoded),
    /// Half floats.
    F16(Vec<f16>),
    /// Floats.
    F32(Vec<f32>),
}

impl RawData {
    /// Its length.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Quantized(Encoded { codes, scales, mins }) => {
                size_of_val(&codes[..])
                    + size_of_val(&scales[..])
                    + mins.as_ref().map_or(0, |mins| size_of_val(&mins[..]))
            }
            Self::F16(values) => size_of_val(&values[..]),
            Self::F32(values) => size_of_val(&values[..]),
        }
    }
}

impl Reader {
    /// Reads the manifest and the shards' headers, and checks all that can be checked without the tensors' bytes.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if a file cannot be read, [`ErrorKind::Integrity`] if a file's length is not the manifest's,
    /// [`ErrorKind::BadModel`] if the manifest or a header is not as it should be, or they contradict each other.
    pub async fn open(source: Rc<dyn ByteSource>) -> Result<Self> {
        let (manifest, identity) = read_manifest(&*source).await?;
        for file in &manifest.files {
            check_size(&*source, file).await?;
        }
        let files = VerifiedFiles::new(source, manifest.files.clone());
        let mut shards = Vec::with_capacity(manifest.files.len());
        let mut headers = Vec::with_capacity(manifest.files.len());
        for (index, file) in manifest.files.iter().enumerate() {
            let start = if file.is_shard() { Some(read_start(&files, index, file).await?) } else { None };
            headers.push(start.as_ref().map(|start| header::parse(&file.path, start, file.bytes)).transpose()?);
            shards.push(start.map(|start| sha256_hex(&start)));
        }
        check::check(&manifest, &headers)?;
        let shard = |(header, sha256): (Option<Header>, Option<String>)| {
            Some(Shard { header: header?, sha256: sha256?, is_confirmed: Cell::new(false) })
        };
        let shards = headers.into_iter().zip(shards).map(shard).collect();
        Ok(Self { manifest, identity, files, shards })
    }

    /// What the model says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of the manifest, which pins every byte of the model.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The names of a component's tensors: those that begin with `component` and a dot, in alphabetical order.
    pub fn names_of<'a>(&'a self, component: &'a str) -> impl Iterator<Item = &'a str> {
        let belongs = move |name: &str| name.strip_prefix(component).is_some_and(|rest| rest.starts_with('.'));
        self.manifest.tensors.keys().map(String::as_str).filter(move |name| belongs(name))
    }

    /// [`Self::names_of`] in the order in which the tensors lie, in which every byte is read once.
    pub fn names_in_order<'a>(&'a self, component: &'a str) -> Vec<&'a str> {
        let place = |name: &str| {
            let entry = self.manifest.tensors.get(name)?;
            let ending = if entry.format.is_quantized() { CODES } else { "" };
            let header = &self.shards.get(entry.file)?.as_ref()?.header;
            Some((entry.file, header.tensors.get(&format!("{name}{ending}"))?.offset))
        };
        let mut names: Vec<&str> = self.names_of(component).collect();
        names.sort_by_cached_key(|name| place(name));
        names
    }

    /// How the tensor `name` is stored, if there is one.
    pub fn format(&self, name: &str) -> Option<Format> {
        self.manifest.tensors.get(name).map(|entry| entry.format)
    }

    /// How many bytes the tensor `name` has in its files; none if there is no such tensor.
    pub fn bytes(&self, name: &str) -> u64 {
        let Some(entry) = self.manifest.tensors.get(name) else { return 0 };
        let stored = stored(name, entry.format, &entry.shape, entry.rows()).unwrap_or_default();
        stored.iter().map(|stored| stored.bytes() as u64).sum()
    }

    /// How many bytes so many rows of the tensor `name` have in its files.
    pub fn bytes_of_rows(&self, name: &str, rows: usize) -> u64 {
        let all = self.manifest.tensors.get(name).map_or(1, TensorEntry::rows);
        self.bytes(name) * rows as u64 / all.max(1) as u64
    }

    /// How many bytes were compared with their hashes so far.
    pub fn verified(&self) -> u64 {
        self.files.verified()
    }

    /// How many bytes will have been compared with their hashes once these tensors were read: whole chunks.
    pub fn verified_with<'a>(&self, names: impl Iterator<Item = &'a str>) -> u64 {
        let mut ranges = Vec::new();
        for (name, entry) in names.filter_map(|name| Some((name, self.manifest.tensors.get(name)?))) {
            for part in entry.row_parts() {
                let Some(Shard { header, .. }) = self.shards.get(part.file).and_then(Option::as_ref) else { continue };
                let stored =
                    endings(entry.format).iter().filter_map(|ending| header.tensors.get(&format!("{name}{ending}")));
                ranges.push((part.file, 0..header.data_start));
                ranges.extend(stored.map(|stored| (part.file, stored.offset..stored.offset + stored.bytes)));
            }
        }
        self.files.verified_with(&ranges)
    }

    /// The tensor `name` as f32.
    ///
    /// # Errors
    /// As [`Self::raw`].
    pub async fn tensor(&self, name: &str) -> Result<DenseTensor> {
        let rows = self.entry(name)?.rows();
        self.rows(name, 0..rows).await
    }

    /// Some rows of the tensor `name` as f32, read without the others: a few rows of an embedding table.
    ///
    /// # Errors
    /// As [`Self::raw`]; [`ErrorKind::BadModel`] if the tensor has no such rows.
    pub async fn rows(&self, name: &str, rows: Range<usize>) -> Result<DenseTensor> {
        let cols = self.entry(name)?.cols();
        let RawTensor { shape, format, data } = self.raw_rows(name, rows.clone()).await?;
        let values = match data {
            RawData::F32(values) => values,
            RawData::F16(values) => values.into_iter().map(f16::to_f32).collect(),
            RawData::Quantized(_) if rows.is_empty() => Vec::new(),
            RawData::Quantized(encoded) => decode(&encoded, rows.len(), cols, format)
                .map_err(|error| Error::bad_model(format!("tensor {name}")).found(error.to_string()))?,
        };
        Ok(DenseTensor { shape, values })
    }

    /// The tensor `name` as it is stored.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`] if there is none, [`ErrorKind::File`] if it cannot be read, [`ErrorKind::Integrity`] if
    /// a chunk that holds it is damaged.
    pub async fn raw(&self, name: &str) -> Result<RawTensor> {
        let rows = self.entry(name)?.rows();
        self.raw_rows(name, 0..rows).await
    }

    /// Some rows of the tensor `name` as they are stored.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn raw_rows(&self, name: &str, rows: Range<usize>) -> Result<RawTensor> {
        let entry = self.entry(name)?;
        if rows.start > rows.end || rows.end > entry.rows() {
            let expected = format!("rows within 0..{}", entry.rows());
            return Err(Error::bad_model(format!("tensor {name}")).expected(expected).found(format!("{rows:?}")));
        }
        let data = match entry.format {
            Format::F32 => RawData::F32(self.read_rows(name, entry, "", rows.clone()).await?),
            Format::F16 => RawData::F16(self.read_rows(name, entry, "", rows.clone()).await?),
            Format::Q4B32 | Format::Q4AB32 | Format::Q8B32 => RawData::Quantized(Encoded {
                codes: self.read_rows(name, entry, CODES, rows.clone()).await?,
                scales: self.read_rows(name, entry, SCALES, rows.clone()).await?,
                mins: match entry.format.has_min() {
                    true => Some(self.read_rows(name, entry, MINS, rows.clone()).await?),
                    false => None,
                },
            }),
        };
        let mut shape = entry.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = rows.len();
        }
        Ok(RawTensor { shape, format: entry.format, data })
    }

    /// A file that is not a shard (a tokenizer), whole.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`] if the manifest does not list `path`, otherwise as [`Self::raw`].
    pub async fn file(&self, path: &str) -> Result<Vec<u8>> {
        let index = self.manifest.file_index(path).ok_or_else(|| {
            Error::bad_model(path).expected("a file that the manifest lists").found("one that it does not list")
        })?;
        self.files.read(index, 0..self.manifest.files[index].bytes, "").await
    }

    /// Compares every byte of the model with its hashes; `progress` is told the bytes done and the bytes in all.
    ///
    /// # Errors
    /// [`ErrorKind::Integrity`], which names the file and the chunk, or [`ErrorKind::File`].
    pub async fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
        self.files.verify(progress).await
    }

    fn entry(&self, name: &str) -> Result<&TensorEntry> {
        self.manifest.tensors.get(name).ok_or_else(|| {
            Error::bad_model(format!("tensor {name}")).expected("one that the manifest lists").found("none")
        })
    }

    /// The numbers of `rows` of the stored entry `name` + `ending`, gathered over the tensor's parts.
    async fn read_rows<T: Pod>(
        &self,
        name: &str,
        entry: &TensorEntry,
        ending: &str,
        rows: Range<usize>,
    ) -> Result<Vec<T>> {
        let purpose = format!("tensor {name}");
        let stored_name = format!("{name}{ending}");
        let mut numbers = Vec::new();
        for (part, wanted) in parts_of(entry, &rows) {
            // Opening has checked that every entry is there, in whole rows.
            let stored = self.confirmed_header(part.file, &purpose).await?.tensors.get(&stored_name);
            let stored = stored.ok_or_else(|| Error::bad_model(&purpose).expected(&stored_name).found("none"))?;
            let Range { start, end } = range_of(stored, &part, &wanted);
            let count = (end - start) as usize / size_of::<T>();
            let mut piece = vec![T::zeroed(); count];
            self.files.read_into(part.file, start, bytemuck::cast_slice_mut(&mut piece), &purpose).await?;
            numbers = if numbers.is_empty() { piece } else { [numbers, piece].concat() };
        }
        Ok(numbers)
    }

    /// The header of a shard, once its bytes were compared with the hashes. Doing so on opening would fetch 4 MiB of
    /// every shard before the first tensor is of use.
    async fn confirmed_header(&self, file: usize, purpose: &str) -> Result<&Header> {
        let path = &self.manifest.files[file].path;
        let shard = self.shards[file].as_ref();
        let shard = shard.ok_or_else(|| Error::bad_model(path).expected("a .safetensors file").found("another"))?;
        if !shard.is_confirmed.get() {
            let start = self.files.read(file, 0..shard.header.data_start, purpose).await?;
            let found = sha256_hex(&start);
            if found != shard.sha256 {
                return Err(Error::new(ErrorKind::Integrity, format!("{path}: header ({purpose})"))
                    .expected("the bytes that were read on opening")
                    .found("others")
                    .remedy("the file changed while it was read: open the model again"));
            }
            shard.is_confirmed.set(true);
        }
        Ok(&shard.header)
    }
}
