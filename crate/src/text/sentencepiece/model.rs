//! The parts of a SentencePiece model file that its meaning depends on.
//!
//! The file is one protocol-buffers message, `ModelProto` of `sentencepiece_model.proto`. Its text is borrowed, and
//! nothing is kept but pieces, so that a file cannot ask for more memory than a few times its size.

use super::wire::{Field, Fields};
use crate::error::{Error, Result};

/// The usual name of the file, for messages.
pub(super) const SUBJECT: &str = "tokenizer.model";
/// The largest file (Gemma's: 4 MB).
const MAX_MODEL_BYTES: usize = 1 << 25;
/// The most pieces (Gemma's: 256 000).
const MAX_PIECES: usize = 1 << 20;
/// The longest piece: work grows by the square of it. The longest in use are runs of a few dozen spaces.
const MAX_PIECE_BYTES: usize = 256;

/// How text is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// Neighbours merge, the best score first.
    Bpe,
    /// The cut with the best sum of scores.
    Unigram,
}

/// What a piece is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Learnt text.
    Normal,
    /// Stands for whatever is no piece.
    Unknown,
    /// A mark such as BOS.
    Control,
    /// Text that is always one piece.
    UserDefined,
    /// Learnt text that was struck out.
    Unused,
    /// One byte of what is no piece.
    Byte,
}

impl Kind {
    /// Whether cutting a text can give such a piece.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Normal | Self::UserDefined | Self::Unused)
    }
}

/// One piece. Its id is its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    /// Finite, and no negative zero.
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// A model whose normalizer does nothing but handle spaces.
#[derive(Debug, PartialEq)]
pub(super) struct Model<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) algorithm: Algorithm,
    /// What is no piece becomes its bytes.
    pub(super) byte_fallback: bool,
    /// A space goes before the text.
    pub(super) add_dummy_prefix: bool,
    /// Spaces around the text go, runs of them become one.
    pub(super) remove_extra_whitespaces: bool,
}

impl<'a> Model<'a> {
    /// # Errors
    /// `bad-model` if `file` is no SentencePiece model, or one that cannot be stood for.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self> {
        if file.len() > MAX_MODEL_BYTES {
            let expected = format!("at most {MAX_MODEL_BYTES} bytes");
            return Err(Error::bad_model(SUBJECT).expected(expected).found(file.len().to_string()));
        }
        // Only a file that cannot be read is looked at for what it is instead: the bytes of a model may begin alike.
        Self::read(file).map_err(|error| other_format(file).map_or(error, refuse))
    }

    fn read(file: &'a [u8]) -> Result<Self> {
        let mut pieces = Vec::new();
        let (mut trainer, mut normalizer) = (None, None);
        for field in Fields::of(file) {
            match field? {
                Field { number: 1, value } if pieces.len() < MAX_PIECES => pieces.push(Piece::read(value.bytes()?)?),
                Field { number: 1, .. } => {
                    let expected = format!("at most {MAX_PIECES} pieces");
                    return Err(Error::bad_model(SUBJECT).expected(expected).found("more"));
                }
                Field { number: 2, value } => trainer.get_or_insert(Trainer::DEFAULT).read(value.bytes()?)?,
                Field { number: 3, value } => normalizer.get_or_insert(Normalizer::DEFAULT).read(value.bytes()?)?,
                _ => {}
            }
        }
        // They follow the pieces: without them the file was cut short, and their defaults would be a guess.
        let trainer = trainer.ok_or_else(|| refuse("no trainer_spec"))?;
        let normalizer = normalizer.ok_or_else(|| refuse("no normalizer_spec"))?;
        normalizer.check()?;
        Ok(Self {
            pieces,
            algorithm: trainer.algorithm()?,
            byte_fallback: trainer.byte_fallback,
            add_dummy_prefix: normalizer.add_dummy_prefix,
            remove_extra_whitespaces: normalizer.remove_extra_whitespaces,
        })
    }
}

impl<'a> Piece<'a> {
    /// `ModelProto.SentencePiece`.
    fn read(message: &'a [u8]) -> Result<Self> {
        let mut piece = Self { text: "", score: 0.0, kind: Kind::Normal };
        for field in Fields::of(message) {
            match field? {
                Field { number: 1, value } => {
                    let text = value.bytes()?;
                    piece.text = str::from_utf8(text).map_err(|error| refuse(format!("a piece with {error}")))?;
                }
                // The sum makes a zero of a negative zero, which the best of learnt pieces has.
                Field { number: 2, value } => piece.score = value.float()? + 0.0,
                Field { number: 3, value } => piece.kind = kind(value.varint()?)?,
                _ => {}
            }
        }
        if !(1..=MAX_PIECE_BYTES).contains(&piece.text.len()) {
            let expected = format!("pieces of 1 to {MAX_PIECE_BYTES} bytes");
            return Err(Error::bad_model(SUBJECT).expected(expected).found(piece.text.len().to_string()));
        }
        if !piece.score.is_finite() {
            let subject = format!("{SUBJECT}: {:?}: score", piece.text);
            return Err(Error::bad_model(subject).expected("a finite number").found(piece.score.to_string()));
        }
        Ok(piece)
    }
}

fn kind(number: u64) -> Result<Kind> {
    Ok(match number {
        1 => Kind::Normal,
        2 => Kind::Unknown,
        3 => Kind::Control,
        4 => Kind::UserDefined,
        5 => Kind::Unused,
        6 => Kind::Byte,
        _ => return Err(refuse(format!("a piece of type {number}"))),
    })
}

/// `TrainerSpec`.
struct Trainer {
    model_type: u64,
    treat_whitespace_as_suffix: bool,
    byte_fallback: bool,
}

impl Trainer {
    const DEFAULT: Self = Self { model_type: 1, treat_whitespace_as_suffix: false, byte_fallback: false };

    fn read(&mut self, message: &[u8]) -> Result<()> {
        for field in Fields::of(message) {
            match field? {
                Field { number: 3, value } => self.model_type = value.varint()?,
                Field { number: 24, value } => self.treat_whitespace_as_suffix = value.varint()? != 0,
                Field { number: 35, value } => self.byte_fallback = value.varint()? != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn algorithm(&self) -> Result<Algorithm> {
        if self.treat_whitespace_as_suffix {
            return Err(unsupported("treat_whitespace_as_suffix", "false", "true"));
        }
        match self.model_type {
            1 => Ok(Algorithm::Unigram),
            2 => Ok(Algorithm::Bpe),
            other => Err(unsupported("model_type", "1 (Unigram) or 2 (BPE)", other.to_string())),
        }
    }
}

/// `NormalizerSpec`.
struct Normalizer<'a> {
    name: &'a [u8],
    precompiled_charsmap: &'a [u8],
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
}

impl<'a> Normalizer<'a> {
    const DEFAULT: Self = Self {
        name: &[],
        precompiled_charsmap: &[],
        add_dummy_prefix: true,
        remove_extra_whitespaces: true,
        escape_whitespaces: true,
    };

    fn read(&mut self, message: &'a [u8]) -> Result<()> {
        for field in Fields::of(message) {
            match field? {
                Field { number: 1, value } => self.name = value.bytes()?,
                Field { number: 2, value } => self.precompiled_charsmap = value.bytes()?,
                Field { number: 3, value } => self.add_dummy_prefix = value.varint()? != 0,
                Field { number: 4, value } => self.remove_extra_whitespaces = value.varint()? != 0,
                Field { number: 5, value } => self.escape_whitespaces = value.varint()? != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if !self.precompiled_charsmap.is_empty() {
            let name = String::from_utf8_lossy(self.name);
            let found = format!("{name:.64} with a table of {} bytes", self.precompiled_charsmap.len());
            return Err(unsupported("normalizer", "identity", found));
        }
        if !self.escape_whitespaces {
            return Err(unsupported("escape_whitespaces", "true", "false"));
        }
        Ok(())
    }
}

/// What a download may have brought instead of a model.
fn other_format(file: &[u8]) -> Option<&'static str> {
    let text = file.trim_ascii_start();
    match text.first() {
        None => Some("an empty file"),
        Some(b'<') => Some("an HTML page"),
        Some(b'{') => Some("JSON"),
        _ if text.starts_with(b"version https://git-lfs") => Some("a Git-LFS pointer"),
        _ => None,
    }
}

/// About bytes that are not what they should be.
pub(super) fn refuse(found: impl Into<String>) -> Error {
    Error::bad_model(SUBJECT)
        .expected("a SentencePiece model")
        .found(found)
        .remedy("download the file again, or give the model's tokenizer.json")
}

/// About a model whose settings have no counterpart.
fn unsupported(setting: &str, expected: &str, found: impl Into<String>) -> Error {
    Error::bad_model(format!("{SUBJECT}: {setting}"))
        .expected(expected)
        .found(found)
        .remedy("give the model's tokenizer.json instead")
}
