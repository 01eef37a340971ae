//! A `tokenizer.json` to the library's tokenizer.
//!
//! The library reads a file into trees of JSON values before it looks at them. Of a vocabulary such as Gemma's (256 000
//! pieces, 580 000 merges) these have some hundred megabytes, which a browser's tab keeps for ever: its memory only grows.
//! Here pieces and merges go from the text straight into their tables. What is no BPE has no merges, and is left to the
//! library.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
    models::bpe::{BPE, BpeBuilder, Merges, Vocab},
};

use crate::error::{Error, Result};

/// The only version there is.
const VERSION: &str = "1.0";
/// The algorithm whose tables are read here.
const BYTE_PAIRS: &str = "BPE";

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
    let kind: Kind = serde_json::from_slice(json).map_err(refuse)?;
    if kind.model.algorithm.as_deref() != Some(BYTE_PAIRS) {
        let tokenizer = Tokenizer::from_bytes(json).map_err(refuse)?;
        let highest_id = tokenizer.get_vocab(true).into_values().max();
        return Ok(Read { tokenizer, highest_id });
    }
    serde_json::from_slice::<File>(json).map_err(refuse)?.build()
}

/// About a file that is no tokenizer that can be used.
pub(super) fn refuse(found: impl fmt::Display) -> Error {
    Error::bad_model("tokenizer.json").expected("a tokenizer that fits the text encoder").found(found.to_string())
}

/// Which algorithm a file is of; all else is passed over.
#[derive(Deserialize)]
struct Kind {
    model: Algorithm,
}

#[derive(Deserialize)]
struct Algorithm {
    /// Very old files have none.
    #[serde(rename = "type")]
    algorithm: Option<String>,
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
    model: BytePairs,
}

#[derive(Deserialize)]
struct BytePairs {
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
    vocab: Vocab,
    #[serde(deserialize_with = "merges")]
    merges: Merges,
}

impl File {
    fn build(self) -> Result<Read> {
        if self.version != VERSION {
            return Err(refuse(format!("version {} instead of {VERSION}", self.version)));
        }
        let highest_id = self.model.vocab.values().copied().max();
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

impl BytePairs {
    fn build(self) -> Result<BPE> {
        self.check_lengths()?;
        let mut builder = BpeBuilder::new()
            .vocab_and_merges(self.vocab, self.merges)
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
    fn check_lengths(&self) -> Result<()> {
        let longest = self.vocab.keys().map(String::len).max().unwrap_or(0);
        let prefix = self.continuing_subword_prefix.as_ref().map_or(0, String::len);
        let fits = |(left, right): &&(String, String)| {
            right.len().checked_sub(prefix).is_some_and(|right| left.len() + right <= longest)
        };
        match self.merges.iter().find(|merge| !fits(merge)) {
            None => Ok(()),
            Some((left, right)) => Err(refuse(format!("a merge of {left:?} and {right:?}, which make no piece"))),
        }
    }
}

fn merges<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Merges, D::Error> {
    let merges: Vec<Merge> = Vec::deserialize(deserializer)?;
    // In the same memory.
    Ok(merges.into_iter().map(|Merge(pair)| pair).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const FIXTURES: [&str; 3] = [
        include_str!("../../tests/fixtures/text_llama/tokenizer.json"),
        include_str!("../../tests/fixtures/text_gemma/tokenizer.json"),
        include_str!("../../../weights-quantized/toybox/text/tokenizer.json"),
    ];

    /// With what is not asked for taken off, as the library writes it.
    fn written(mut tokenizer: Tokenizer) -> String {
        tokenizer.with_padding(None).with_truncation(None).expect("nothing is cut");
        serde_json::to_string(&tokenizer).expect("JSON")
    }

    fn by_library(json: &str) -> Tokenizer {
        Tokenizer::from_bytes(json).expect("a tokenizer")
    }

    #[test]
    fn files_are_read_as_the_library_reads_them() {
        for json in FIXTURES {
            let Read { tokenizer, highest_id } = read(json.as_bytes()).expect("a tokenizer");
            let theirs = by_library(json);
            assert_eq!(highest_id, theirs.get_vocab(true).into_values().max());
            assert!(written(tokenizer) == written(theirs));
        }
    }

    /// A small vocabulary; `merges` and what else the model says are put in.
    fn small(merges: &str, more: &str) -> String {
        let added = r#"{ "id": 4, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true }"#;
        format!(
            r#"{{ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [{added}], "model":
            {{ "type": "BPE", "vocab": {{ "a": 0, "b": 1, "ab": 2, "<unk>": 3 }}, "merges": {merges} {more} }} }}"#
        )
    }

    #[test]
    fn both_ways_to_write_merges_and_every_option_are_read() {
        let options = r#", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "ignore_merges": true,
            "dropout": 0.0, "continuing_subword_prefix": null, "end_of_word_suffix": "a""#;
        for json in [small(r#"["a b"]"#, ""), small(r#"[["a", "b"]]"#, options), small("[]", options)] {
            let Read { tokenizer, highest_id } = read(json.as_bytes()).expect("a tokenizer");
            assert_eq!(highest_id, Some(4));
            assert_eq!(written(tokenizer), written(by_library(&json)));
        }
    }

    #[test]
    fn what_is_no_tokenizer_is_refused() {
        let cases = [
            (small(r#"["a b a"]"#, ""), "two pieces"),
            (small(r#"[["a"]]"#, ""), "fewer"),
            (small(r#"[["<unk>", "ab"]]"#, ""), "make no piece"),
            (small(r#"[["a", "b"]]"#, r#", "continuing_subword_prefix": "long""#), "make no piece"),
            (small(r#"[["b", "a"]]"#, ""), "out of vocabulary"),
            (small("[]", r#", "dropout": 2.0"#), "ropout"),
            (small("[]", "").replace("1.0", "2.0"), "version 2.0"),
            (small("[]", "").replace("BPE", "Words"), "tokenizer"),
            ("[1]".to_owned(), "tokenizer"),
        ];
        for (json, part) in cases {
            let error = read(json.as_bytes()).err().unwrap_or_else(|| panic!("accepted: {json}"));
            assert_eq!(error.kind(), ErrorKind::BadModel);
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
}
