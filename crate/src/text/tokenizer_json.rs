//! A `tokenizer.json` to the library's tokenizer.
//!
//! The library reads a file into trees of JSON values before it looks at them. Of a vocabulary such as Gemma's (256 000
//! pieces, 580 000 merges) these have some hundred megabytes, which a browser's tab keeps for ever: its memory only grows.
//! Here pieces and merges go from the text straight into their tables.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor, value},
};
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
    models::{
        bpe::{BPE, BpeBuilder, Merges, Vocab},
        unigram::Unigram,
    },
};

use crate::error::{Error, Result};

#[cfg(test)]
mod tests;

/// The only version there is.
const VERSION: &str = "1.0";

/// A tokenizer, and its highest id, if it has any.
pub(super) struct Read {
    pub tokenizer: Tokenizer,
    pub highest_id: Option<u32>,
}

/// Reads the bytes of a `tokenizer.json`.
///
/// # Errors
///
/// `bad-model` if they are none.
pub(super) fn read(json: &[u8]) -> Result<Read> {
    serde_json::from_slice::<File>(json).map_err(refuse)?.build()
}

/// About a file that is no tokenizer that can be used.
pub(super) fn refuse(found: impl fmt::Display) -> Error {
    Error::bad_model("tokenizer.json").expected("a tokenizer that fits the text encoder").found(found.to_string())
}

/// A file. What it says of padding and of cutting is not asked for.
#[derive(Deserialize)]
struct File {
    version: String,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    post_processor: Option<PostProcessorWrapper>,
    decoder: Option<DecoderWrapper>,
    model: Model,
}

/// Of one of the algorithms that text encoders come with.
#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    algorithm: String,
    vocab: Pieces,
    #[serde(default, deserialize_with = "merges")]
    merges: Option<Merges>,
    unk_id: Option<usize>,
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
}

/// Either algorithm's table.
enum Pieces {
    /// Ids by text, of BPE.
    Numbered(Vocab),
    /// In the order of their ids, of Unigram.
    Scored(Vec<(String, f64)>),
}

impl File {
    fn build(self) -> Result<Read> {
        if self.version != VERSION {
            return Err(refuse(format!("version {} instead of {VERSION}", self.version)));
        }
        let highest_id = self.model.vocab.highest_id();
        let mut tokenizer = Tokenizer::new(self.model.build()?);
        tokenizer.with_normalizer(self.normalizer).map_err(refuse)?;
        tokenizer.with_pre_tokenizer(self.pre_tokenizer);
        tokenizer.with_post_processor(self.post_processor);
        tokenizer.with_decoder(self.decoder);
        tokenizer.add_tokens(self.added_tokens).map_err(refuse)?;
        let added = tokenizer.get_added_vocabulary().get_vocab().values().copied();
        let highest_id = added.chain(highest_id).max();
        Ok(Read { tokenizer, highest_id })
    }
}

impl Pieces {
    fn highest_id(&self) -> Option<u32> {
        match self {
            Self::Numbered(ids) => ids.values().copied().max(),
            Self::Scored(pieces) => pieces.len().checked_sub(1).map(|id| id as u32),
        }
    }
}

impl Model {
    fn build(mut self) -> Result<ModelWrapper> {
        let Self { algorithm, vocab, merges, unk_id, byte_fallback, .. } = &mut self;
        let (vocab, merges) = (std::mem::replace(vocab, Pieces::Scored(Vec::new())), merges.take());
        match (algorithm.as_str(), vocab, merges) {
            ("BPE", Pieces::Numbered(vocab), Some(merges)) => self.byte_pairs(vocab, merges).map(ModelWrapper::from),
            ("Unigram", Pieces::Scored(vocab), None) => {
                let unigram = Unigram::from(vocab, *unk_id, byte_fallback.unwrap_or_default());
                unigram.map(ModelWrapper::from).map_err(refuse)
            }
            _ => Err(refuse(format!("{algorithm}, where BPE with ids and merges or Unigram with scores can be used"))),
        }
    }

    fn byte_pairs(self, vocab: Vocab, merges: Merges) -> Result<BPE> {
        self.check_lengths(&vocab, &merges)?;
        let mut builder = BpeBuilder::new()
            .vocab_and_merges(vocab, merges)
            .fuse_unk(self.fuse_unk.unwrap_or_default())
            .byte_fallback(self.byte_fallback.unwrap_or_default())
            .ignore_merges(self.ignore_merges.unwrap_or_default());
        if let Some(dropout) = self.dropout {
            builder = builder.dropout(dropout);
        }
        if let Some(token) = self.unk_token {
            builder = builder.unk_token(token);
        }
        if let Some(prefix) = self.continuing_subword_prefix {
            builder = builder.continuing_subword_prefix(prefix);
        }
        if let Some(suffix) = self.end_of_word_suffix {
            builder = builder.end_of_word_suffix(suffix);
        }
        builder.build().map_err(refuse)
    }

    /// The library puts merges together in a place as long as the longest piece, and panics where that is too short.
    fn check_lengths(&self, vocab: &Vocab, merges: &Merges) -> Result<()> {
        let longest = vocab.keys().map(String::len).max().unwrap_or(0);
        let prefix = self.continuing_subword_prefix.as_ref().map_or(0, String::len);
        let fits = |(left, right): &&(String, String)| {
            right.len().checked_sub(prefix).is_some_and(|right| left.len() + right <= longest)
        };
        match merges.iter().find(|merge| !fits(merge)) {
            None => Ok(()),
            Some((left, right)) => Err(refuse(format!("a merge of {left:?} and {right:?}, which make no piece"))),
        }
    }
}

impl<'de> Deserialize<'de> for Pieces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(PiecesVisitor)
    }
}

struct PiecesVisitor;

impl<'de> Visitor<'de> for PiecesVisitor {
    type Value = Pieces;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("pieces with ids or with scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, pieces: A) -> std::result::Result<Pieces, A::Error> {
        Vocab::deserialize(value::MapAccessDeserializer::new(pieces)).map(Pieces::Numbered)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, pieces: A) -> std::result::Result<Pieces, A::Error> {
        Vec::deserialize(value::SeqAccessDeserializer::new(pieces)).map(Pieces::Scored)
    }
}

fn merges<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Merges>, D::Error> {
    let merges: Vec<Merge> = Vec::deserialize(deserializer)?;
    // In the same memory.
    Ok(Some(merges.into_iter().map(|Merge(pair)| pair).collect()))
}

/// A pair, or the text of both with a space between them, as it was written until 2024.
struct Merge((String, String));

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(MergeVisitor)
    }
}

struct MergeVisitor;

impl<'de> Visitor<'de> for MergeVisitor {
    type Value = Merge;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("two pieces")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Merge, E> {
        match text.split(' ').collect::<Vec<_>>()[..] {
            [left, right] => Ok(Merge((left.to_owned(), right.to_owned()))),
            _ => Err(E::custom(format!("a merge of two pieces is expected, found {text:?}"))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> std::result::Result<Merge, A::Error> {
        let short = || A::Error::custom("a merge of two pieces is expected, found fewer");
        let left = pair.next_element()?.ok_or_else(short)?;
        let right = pair.next_element()?.ok_or_else(short)?;
        Ok(Merge((left, right)))
    }
}
