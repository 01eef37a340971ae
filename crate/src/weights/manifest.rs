//! `manifest.json`: what a model consists of, which files hold it, and the hash of every chunk of them.
//!
//! [`Manifest::parse`] is the way in. It refuses what this version does not know (fields too: a new field means a new
//! version) and whatever contradicts itself, so later code can rely on indices, paths and sizes.

mod modality;

use std::collections::BTreeMap;
use std::ops::Range;

pub use modality::{Extrapolation, Frames, RopeExtrapolation, Sampling, Schedule, Sizes};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::quant::Format;
use crate::weights::recipe::Rule;
use crate::weights::{MANIFEST, json};

/// The value of `format` in every manifest.
pub const FORMAT: &str = "flagdit";
/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The longest manifest that is read: those of large models have less than one MiB.
pub const MAX_MANIFEST_BYTES: u64 = 16 << 20;
/// How deep JSON may be nested; configs need two or three levels of it.
const MAX_DEPTH: usize = 24;

/// A model, as `manifest.json` states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// What the model is called.
    pub name: String,
    /// The licence of the weights.
    pub license: String,
    /// The program that wrote the folder.
    pub created_by: String,
    /// What it can make: `image`, ….
    pub modalities: Vec<String>,
    /// What a request says what to make with.
    #[serde(default, skip_serializing_if = "Conditioning::is_text")]
    pub conditioning: Conditioning,
    /// Sizes by modality.
    pub sizes: BTreeMap<String, Sizes>,
    /// The networks.
    pub components: Components,
    /// Settings that are used where a request has none, by modality.
    pub sampling: BTreeMap<String, Sampling>,
    /// How the tensors' formats were chosen, the first rule that fits counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipe: Vec<Rule>,
    /// The files, in the order in which the pipeline needs them.
    pub files: Vec<FileEntry>,
    /// The tensors by name.
    pub tensors: BTreeMap<String, TensorEntry>,
}

/// What a request says what to make with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// A prompt, which the component `text` encodes.
    #[default]
    Text,
    /// One of the classes that the denoiser's `num_classes` counts; there is no text encoder.
    Labels,
}

impl Conditioning {
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// The networks of a model, or some of them: a folder may hold a part, which can be checked but not asked for pictures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Components {
    /// The Flag-DiT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoiser: Option<Component>,
    /// The text encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Component>,
    /// Who turns latents into frames or samples, by modality.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub decoders: BTreeMap<String, Component>,
}

impl Components {
    /// All that there are, by the name that stands before their tensors': `text`, `denoiser`, `decoders.image`, ….
    pub fn named(&self) -> impl Iterator<Item = (String, &Component)> {
        let networks = [("text", &self.text), ("denoiser", &self.denoiser)];
        let networks = networks.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part.as_ref()?)));
        networks.chain(self.decoders.iter().map(|(name, component)| (format!("decoders.{name}"), component)))
    }
}

/// One network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Which network: `flag-dit`, `llama`, `autoencoder-kl`, ….
    pub architecture: String,
    /// Its sizes, read by whoever builds it.
    pub config: Value,
    /// The path of its tokenizer, which is one of [`Manifest::files`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Relative to the manifest. Shards end in `.safetensors`; other files are kept as they are.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of all of it.
    pub sha256: String,
    /// SHA-256 of each 4 MiB ([`CHUNK_BYTES`](crate::weights::CHUNK_BYTES)).
    pub chunks: Vec<String>,
}

impl FileEntry {
    /// Whether this is a safetensors file, whose tensors the manifest lists.
    pub fn is_shard(&self) -> bool {
        self.path.ends_with(".safetensors")
    }
}

/// Where a tensor lies, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
    /// Index of its file in [`Manifest::files`]; of the first part's, where it is split.
    pub file: usize,
    /// How its values are stored.
    pub format: Format,
    /// Its logical shape, without padding; the first axis is rows (output features).
    pub shape: Vec<usize>,
    /// Where it is split by rows: all its rows, in order, each part in a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Part>>,
}

/// Some rows of a split tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Index of its file in [`Manifest::files`].
    pub file: usize,
    /// The first row, and the row after the last.
    pub rows: [usize; 2],
}

impl Part {
    /// The rows as a range.
    pub fn rows(&self) -> Range<usize> {
        self.rows[0]..self.rows[1]
    }
}

impl TensorEntry {
    /// The first axis; 1 for a single number.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Values a row. Only for an entry that was checked: the product may overflow otherwise.
    pub fn cols(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Its parts; a tensor that is not split is one part.
    pub fn row_parts(&self) -> Vec<Part> {
        self.parts.clone().unwrap_or_else(|| vec![Part { file: self.file, rows: [0, self.rows()] }])
    }
}

/// What every version of the manifest has.
#[derive(Deserialize)]
struct Kind {
    format: String,
    version: u64,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel), which names the field, if the text is too long, too
    /// deep, not JSON, of another format or version, or contradicts itself.
    pub fn parse(text: &[u8]) -> Result<Self> {
        check_length(text.len() as u64)?;
        json::check(text, MAX_DEPTH).map_err(|error| refusal(text, &error))?;
        let kind: Kind = serde_json::from_slice(text).map_err(|error| refusal(text, &error))?;
        kind.check()?;
        let manifest: Self = serde_json::from_slice(text).map_err(|error| refusal(text, &error))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The text of `manifest.json`.
    ///
    /// # Errors
    /// If a number in it is not finite.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n").map_err(|error| Error::bad_model(MANIFEST).found(error.to_string()))
    }

    /// The index of the file `path` in [`Self::files`].
    pub fn file_index(&self, path: &str) -> Option<usize> {
        self.files.iter().position(|file| file.path == path)
    }
}

impl Kind {
    fn check(&self) -> Result<()> {
        if self.format != FORMAT {
            let subject = format!("{MANIFEST}: format");
            return Err(Error::bad_model(subject).expected(format!("{FORMAT:?}")).found(format!("{:?}", self.format)));
        }
        if self.version != u64::from(VERSION) {
            return Err(Error::bad_model(format!("{MANIFEST}: version"))
                .expected(VERSION.to_string())
                .found(self.version.to_string())
                .remedy("a newer flagdit may read this model"));
        }
        Ok(())
    }
}

/// Refuses a manifest of too many bytes; asked before it is read.
pub(super) fn check_length(bytes: u64) -> Result<()> {
    if bytes > MAX_MANIFEST_BYTES {
        let expected = format!("at most {MAX_MANIFEST_BYTES} bytes");
        return Err(Error::bad_model(MANIFEST).expected(expected).found(bytes.to_string()));
    }
    Ok(())
}

/// serde_json knows the place of an error but not the field's name: the text before the place shows it.
fn refusal(text: &[u8], error: &serde_json::Error) -> Error {
    const SHOWN_BYTES: usize = 60;
    let line = text.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let end = error.column().min(line.len());
    let shown = String::from_utf8_lossy(&line[end.saturating_sub(SHOWN_BYTES)..end]);
    Error::bad_model(MANIFEST)
        .expected(format!("a version {VERSION} manifest"))
        .found(format!("{error}, after `{}`", shown.trim()))
}
