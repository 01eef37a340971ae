//! A SentencePiece vocabulary (`tokenizer.model`) to the `tokenizer.json` that stands for it.
//!
//! The two differ in three ways. SentencePiece stores no merges: any two neighbours whose concatenation is a piece may
//! merge, the best score first, so the merges are derived from the pieces, in the order of transformers' converters.
//! Control and user-defined pieces are found in the text before all else: they become added tokens. What its normalizer
//! does to spaces is spelled out. BOS and EOS are left to [`TokenizerRules`](super::tokenizer::TokenizerRules).

use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::error::{Error, Result};

mod model;
#[cfg(test)]
mod tests;
mod wire;

use model::{Algorithm, Kind, Model, Piece};

/// What stands for a space in a piece.
const SPACE: &str = "▁";
/// The most bytes that merges may count for in all. 256 000 pieces take about a tenth of it; a small file made for the
/// purpose could ask for far more.
const MAX_MERGE_BYTES: usize = 1 << 26;
/// What a merge counts for besides its text.
const MERGE_BYTES: usize = 8;

/// The `tokenizer.json` that gives the same ids as the SentencePiece model in `model`, without BOS and EOS.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if the bytes are no SentencePiece model, its algorithm is
/// neither BPE nor Unigram, its normalizer does more than handle spaces, a piece stands twice, the unknown piece is
/// missing or not the only one, or it is larger than any vocabulary in use.
pub fn to_tokenizer_json(model: &[u8]) -> Result<Vec<u8>> {
    let mut model = Model::parse(model)?;
    if model.algorithm == Algorithm::Bpe {
        name_tab(&mut model.pieces);
    }
    let ids = unique_ids(&model.pieces)?;
    let unknown = unknown_id(&model.pieces)?;
    let vocabulary = match model.algorithm {
        Algorithm::Bpe => Vocabulary::Bpe {
            unk_token: model.pieces[unknown].text,
            fuse_unk: true,
            byte_fallback: model.byte_fallback,
            ignore_merges: false,
            vocab: Ids(&model.pieces),
            merges: merges(&model.pieces, &ids)?,
        },
        Algorithm::Unigram => Vocabulary::Unigram {
            unk_id: unknown,
            byte_fallback: model.byte_fallback,
            vocab: model.pieces.iter().map(|piece| (piece.text, piece.score.into())).collect(),
        },
    };
    let json = TokenizerJson {
        version: "1.0",
        truncation: None,
        padding: None,
        added_tokens: added_tokens(&model.pieces),
        normalizer: normalizer(&model),
        pre_tokenizer: None,
        post_processor: None,
        decoder: decoder(&model),
        model: vocabulary,
    };
    Ok(serde_json::to_vec(&json).expect("text and finite numbers can be written as JSON"))
}

/// The file, with the library's names.
#[derive(Serialize)]
struct TokenizerJson<'a> {
    version: &'static str,
    truncation: Option<()>,
    padding: Option<()>,
    added_tokens: Vec<AddedToken<'a>>,
    normalizer: Value,
    pre_tokenizer: Option<()>,
    post_processor: Option<()>,
    decoder: Value,
    model: Vocabulary<'a>,
}

#[derive(Serialize)]
struct AddedToken<'a> {
    id: usize,
    content: &'a str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Vocabulary<'a> {
    #[serde(rename = "BPE")]
    Bpe {
        unk_token: &'a str,
        fuse_unk: bool,
        byte_fallback: bool,
        ignore_merges: bool,
        vocab: Ids<'a>,
        merges: Vec<(&'a str, &'a str)>,
    },
    Unigram {
        unk_id: usize,
        byte_fallback: bool,
        vocab: Vec<(&'a str, f64)>,
    },
}

/// Pieces, written as an object of ids by text.
struct Ids<'a>(&'a [Piece<'a>]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().enumerate().map(|(id, piece)| (piece.text, id)))
    }
}

/// A piece may hold tabs while the tab itself is the piece of its byte (Gemma). SentencePiece merges text, whatever it
/// is made of; in a list of merges both sides need names, so the byte's piece gets that of the tab.
fn name_tab(pieces: &mut [Piece]) {
    let is_needed =
        pieces.iter().any(|piece| piece.kind.is_text() && piece.text.len() > 1 && piece.text.contains('\t'));
    if !is_needed || pieces.iter().any(|piece| piece.text == "\t") {
        return;
    }
    if let Some(tab) = pieces.iter_mut().find(|piece| piece.kind == Kind::Byte && piece.text == "<0x09>") {
        (tab.text, tab.kind) = ("\t", Kind::Normal);
    }
}

/// The ids by text.
fn unique_ids<'a>(pieces: &[Piece<'a>]) -> Result<HashMap<&'a str, usize>> {
    let mut ids = HashMap::with_capacity(pieces.len());
    for (id, piece) in pieces.iter().enumerate() {
        if let Some(first) = ids.insert(piece.text, id) {
            let found = format!("{:?} as {first} and as {id}", piece.text);
            return Err(Error::bad_model(model::SUBJECT).expected("every piece once").found(found));
        }
    }
    Ok(ids)
}

/// The id of the one piece that stands for whatever is no piece.
fn unknown_id(pieces: &[Piece]) -> Result<usize> {
    let mut unknown = (0..pieces.len()).filter(|&id| pieces[id].kind == Kind::Unknown);
    match (unknown.next(), unknown.count()) {
        (Some(id), 0) => Ok(id),
        (first, others) => {
            let found = others + usize::from(first.is_some());
            Err(Error::bad_model(model::SUBJECT).expected("one unknown piece").found(found.to_string()))
        }
    }
}

/// Every way to put a piece together from two others: the best score first, equal scores by id, the ways of one piece
/// by the ids of its parts. Pieces that SentencePiece never makes from text (control, byte, unknown) take no part.
fn merges<'a>(pieces: &[Piece<'a>], ids: &HashMap<&'a str, usize>) -> Result<Vec<(&'a str, &'a str)>> {
    let part = |text: &str| ids.get(text).copied().filter(|&id| pieces[id].kind.is_text());
    let mut by_score: Vec<&Piece> = pieces.iter().filter(|piece| piece.kind.is_text()).collect();
    by_score.sort_by(|a, b| b.score.total_cmp(&a.score)); // stable, so that equal scores keep the order of ids
    let mut merges = Vec::new();
    let mut merge_bytes = 0;
    let mut ways = Vec::new();
    for piece in by_score {
        let splits = piece.text.char_indices().skip(1).map(|(at, _)| piece.text.split_at(at));
        ways.extend(splits.filter_map(|(left, right)| Some(((part(left)?, part(right)?), (left, right)))));
        ways.sort_unstable();
        merge_bytes += ways.len() * (piece.text.len() + MERGE_BYTES);
        if merge_bytes > MAX_MERGE_BYTES {
            let expected = format!("at most {MAX_MERGE_BYTES} bytes of merges");
            return Err(Error::bad_model(model::SUBJECT).expected(expected).found("more"));
        }
        merges.extend(ways.drain(..).map(|(_, way)| way));
    }
    Ok(merges)
}

/// The pieces that are looked for in the text as it stands, before it is normalized.
fn added_tokens<'a>(pieces: &[Piece<'a>]) -> Vec<AddedToken<'a>> {
    let is_added = |piece: &Piece| matches!(piece.kind, Kind::Unknown | Kind::Control | Kind::UserDefined);
    let added = pieces.iter().enumerate().filter(|(_, piece)| is_added(piece)).map(|(id, piece)| AddedToken {
        id,
        content: piece.text,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: piece.kind != Kind::UserDefined,
    });
    added.collect()
}

/// What happens to spaces before the text is looked up.
fn normalizer(model: &Model) -> Value {
    let mut steps = Vec::new();
    if model.remove_extra_whitespaces {
        steps.push(json!({ "type": "Replace", "pattern": { "Regex": "^ +| +$" }, "content": "" }));
        steps.push(json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " }));
    }
    if model.add_dummy_prefix {
        steps.push(json!({ "type": "Prepend", "prepend": SPACE }));
    }
    steps.push(json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE }));
    json!({ "type": "Sequence", "normalizers": steps })
}

/// Pieces back to text.
fn decoder(model: &Model) -> Value {
    let mut steps = vec![
        json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if model.add_dummy_prefix {
        steps.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    json!({ "type": "Sequence", "decoders": steps })
}
