use super::*;
use crate::error::ErrorKind;

const FIXTURES: [&str; 3] = [
    include_str!("../../../tests/fixtures/text_llama/tokenizer.json"),
    include_str!("../../../tests/fixtures/text_gemma/tokenizer.json"),
    include_str!("../../../../weights-quantized/toybox/text/tokenizer.json"),
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
fn pieces_with_scores_are_read_too() {
    let json = r#"{ "version": "1.0", "added_tokens": [], "model": { "type": "Unigram", "unk_id": 1,
        "byte_fallback": true, "vocab": [["a", -1.5], ["<unk>", 0.0], ["ab", -2]] } }"#;
    let Read { tokenizer, highest_id } = read(json.as_bytes()).expect("a tokenizer");
    assert_eq!(highest_id, Some(2));
    assert_eq!(written(tokenizer), written(by_library(json)));
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
        (small("[]", "").replace("BPE", "WordLevel"), "WordLevel"),
        (small("[]", "").replace("BPE", "Unigram"), "scores"),
        (small("[]", "").replace(r#""type": "BPE","#, ""), "missing field `type`"),
        ("[1]".to_owned(), "tokenizer"),
    ];
    for (json, part) in cases {
        let error = read(json.as_bytes()).err().unwrap_or_else(|| panic!("accepted: {json}"));
        assert_eq!(error.kind(), ErrorKind::BadModel);
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}
