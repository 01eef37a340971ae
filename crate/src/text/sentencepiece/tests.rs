use std::path::Path;

use serde_json::Value;

use super::*;
use crate::error::ErrorKind;
use crate::text::tokenizer::{Tokenizer, TokenizerRules};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crate/tests/fixtures");
const LLAMA: &str = "text_llama";
const GEMMA: &str = "text_gemma";

const UNIGRAM: u64 = 1;
const BPE: u64 = 2;
const WORD: u64 = 3;

fn fixture(case: &str, file: &str) -> Vec<u8> {
    let path = Path::new(FIXTURES).join(case).join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn tokenizer(json: &[u8], bos: Option<u32>) -> Tokenizer {
    let rules = TokenizerRules { bos, eos: None, pad: 0, max_tokens: 1024, ..TokenizerRules::default() };
    Tokenizer::new(json, rules, 1 << 20).unwrap()
}

/// The text of the tokens of `text`.
fn cut(model: &[u8], text: &str) -> Vec<String> {
    let json = to_tokenizer_json(model).unwrap();
    let tokenizer = tokenizers::Tokenizer::from_bytes(json).unwrap();
    tokenizer.encode(text, false).unwrap().get_tokens().to_vec()
}

#[test]
fn the_ids_are_those_of_transformers() {
    for (case, bos) in [(LLAMA, 1), (GEMMA, 2)] {
        let tokenizer = tokenizer(&to_tokenizer_json(&fixture(case, "tokenizer.model")).unwrap(), Some(bos));
        let expected = json(&fixture(case, "case.json"));
        let tests = expected["tokenizer_tests"].as_array().unwrap();
        assert!(tests.len() > 10, "{case}");
        for test in tests {
            let text = test["text"].as_str().unwrap();
            let ids = serde_json::to_value(tokenizer.encode(text).unwrap().ids).unwrap();
            assert_eq!(ids, test["ids"], "{case}: {text:?}");
        }
    }
}

#[test]
fn the_file_is_the_one_that_transformers_writes() {
    for case in [LLAMA, GEMMA] {
        let ours = json(&to_tokenizer_json(&fixture(case, "tokenizer.model")).unwrap());
        let theirs = json(&fixture(case, "tokenizer.json"));
        for (name, value) in ours["model"].as_object().unwrap() {
            assert!(*value == theirs["model"][name], "{case}: {name}");
        }
        assert_eq!(ours["decoder"], theirs["decoder"], "{case}");
        // Whether a token is special matters to nothing but decoding, and transformers has it from another file.
        let tokens = |file: &Value| {
            let tokens = file["added_tokens"].as_array().unwrap();
            tokens.iter().map(|token| (token["id"].clone(), token["content"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(tokens(&ours), tokens(&theirs), "{case}");
    }
}

#[test]
fn equal_merges_go_by_the_ids_of_their_parts() {
    let text = [("<unk>", 0.0, 2), ("aa", 0.0, 1), ("a", -9.0, 1), ("aaa", -0.0, 1), ("<s>", 1.0, 3), ("a<s>", 2.0, 1)];
    let ours = json(&to_tokenizer_json(&model(&text, BPE, &[], &[])).unwrap());
    assert_eq!(ours["model"]["merges"], serde_json::json!([["a", "a"], ["aa", "a"], ["a", "aa"]]));
}

#[test]
fn tabs_merge_although_the_tab_is_a_byte() {
    let tab = ("<0x09>", 0.0, 6);
    let merged = [("<unk>", 0.0, 2), tab, ("\tx", -1.0, 1), ("x", -2.0, 1)];
    assert_eq!(cut(&model(&merged, BPE, &[(35, 1)], &[(3, 0)]), "x\tx"), ["x", "\tx"]);
    let plain = [("<unk>", 0.0, 2), tab, ("x", -2.0, 1)];
    assert_eq!(cut(&model(&plain, BPE, &[(35, 1)], &[(3, 0)]), "\tx"), ["<0x09>", "x"]);
}

#[test]
fn spaces_are_kept_or_removed_as_the_model_says() {
    let text = [("<unk>", 0.0, 2), ("▁", -1.0, 1), ("a", -2.0, 1)];
    for algorithm in [UNIGRAM, BPE] {
        let cut = |normalizer: &[(u64, u64)], text_to_cut: &str| {
            cut(&model(&text, algorithm, &[], normalizer), text_to_cut).concat()
        };
        assert_eq!(cut(&[], "  a  a "), "▁a▁a");
        assert_eq!(cut(&[(4, 0)], " a  a "), "▁▁a▁▁a▁");
        assert_eq!(cut(&[(3, 0), (4, 0)], "a  a"), "a▁▁a");
        assert_eq!(cut(&[], ""), "");
    }
}

#[test]
fn a_unigram_model_takes_the_best_sum_of_scores() {
    let small = |space_score| {
        let text = [("<pad>", 0.0, 3), ("<unk>", 0.0, 2), ("▁", space_score, 1)];
        model(&[&text[..], &[("▁a", -2.0, 1), ("b", -2.5, 1), ("ab", -1.5, 1)]].concat(), UNIGRAM, &[], &[])
    };
    assert_eq!(cut(&small(-2.0), "ab"), ["▁", "ab"]); // -3.5 against -4.5
    let small = small(-4.0);
    assert_eq!(cut(&small, "ab"), ["▁a", "b"]); // -4.5 against -5.5
    assert_eq!(cut(&small, "ab ab"), ["▁a", "b", "▁a", "b"]);
    assert_eq!(cut(&small, "bc<pad>"), ["▁", "b", "c", "<pad>"]);
    let ours = json(&to_tokenizer_json(&small).unwrap());
    assert_eq!(ours["model"]["type"], "Unigram");
    assert_eq!((&ours["model"]["unk_id"], &ours["model"]["vocab"][4]), (&1.into(), &serde_json::json!(["b", -2.5])));
}

#[test]
fn every_beginning_of_a_model_is_refused() {
    let text = [("<unk>", 0.0, 2), ("▁", -1.0, 1), ("a", -2.0, 1), ("▁a", -3.0, 1)];
    let small = model(&text, BPE, &[(4, 300), (35, 1)], &[(3, 1)]);
    for length in 0..small.len() {
        assert_eq!(to_tokenizer_json(&small[..length]).unwrap_err().kind(), ErrorKind::BadModel, "{length} bytes");
    }
    to_tokenizer_json(&small).unwrap();
}

/// Whatever comes of it, it is a file that can be read or an error.
#[test]
fn no_change_of_bytes_leads_to_a_panic() {
    let text = [("<unk>", 0.0, 2), ("▁", -1.0, 1), ("a", -2.0, 1), ("▁a", -3.0, 1)];
    let small = model(&text, BPE, &[(4, 300), (35, 1)], &[(3, 1)]);
    let mut read = 0;
    for at in 0..small.len() {
        for byte in 0..=u8::MAX {
            let mut changed = small.clone();
            changed[at] = byte;
            read += usize::from(
                to_tokenizer_json(&changed).is_ok_and(|json| serde_json::from_slice::<Value>(&json).is_ok()),
            );
        }
    }
    assert!((small.len()..small.len() * 256).contains(&read), "{read}"); // each byte once stayed what it was
    let mut random = 1u64;
    let noise = Vec::from_iter(
        std::iter::repeat_with(|| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 56) as u8
        })
        .take(4096),
    );
    for at in 0..noise.len() {
        to_tokenizer_json(&noise[at..]).unwrap_err();
    }
}

#[test]
fn what_is_no_model_is_named() {
    let files: [(&[u8], &str); 7] = [
        (b"", "an empty file"),
        (b"\n <!DOCTYPE html><html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git-LFS pointer"),
        (b"{\"version\":\"1.0\"}", "JSON"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01ab", "2 bytes where 18446744073709551615 belong"),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a number of more than 10 bytes"),
        (b"\x0b", "a field of wire type 3"),
    ];
    for (file, found) in files {
        let error = to_tokenizer_json(file).unwrap_err();
        let sentence = format!(
            "tokenizer.model: expected a SentencePiece model, found {found}; \
             download the file again, or give the model's tokenizer.json"
        );
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::BadModel, sentence));
    }
}

#[test]
fn a_model_that_cannot_be_stood_for_is_refused_by_name() {
    const TEXT: [(&str, f32, u64); 2] = [("<unk>", 0.0, 2), ("a", -1.0, 1)];
    let charsmap =
        [model(&TEXT, BPE, &[], &[]), field(3, &[field(1, b"nmt_nfkc"), field(2, b"abc")].concat())].concat();
    let long = "a".repeat(257);
    let cases = [
        (charsmap, "normalizer: expected identity, found nmt_nfkc with a table of 3 bytes"),
        (model(&TEXT, WORD, &[], &[]), "model_type: expected 1 (Unigram) or 2 (BPE), found 3"),
        (model(&TEXT, BPE, &[(24, 1)], &[]), "treat_whitespace_as_suffix: expected false, found true"),
        (model(&TEXT, BPE, &[], &[(5, 0)]), "escape_whitespaces: expected true, found false"),
        (model(&TEXT[1..], BPE, &[], &[]), "expected one unknown piece, found 0"),
        (model(&[TEXT[0], ("b", 0.0, 2)], BPE, &[], &[]), "expected one unknown piece, found 2"),
        (model(&[TEXT[0], TEXT[1], TEXT[1]], BPE, &[], &[]), "expected every piece once, found \"a\" as 1 and as 2"),
        (model(&[("", 0.0, 1)], BPE, &[], &[]), "expected pieces of 1 to 256 bytes, found 0"),
        (model(&[(&long, 0.0, 1)], BPE, &[], &[]), "expected pieces of 1 to 256 bytes, found 257"),
        (model(&[("a", f32::NAN, 1)], BPE, &[], &[]), "\"a\": score: expected a finite number, found NaN"),
        (model(&[("a", 0.0, 7)], BPE, &[], &[]), "found a piece of type 7"),
        (field(1, b"\x0a\x01\xff"), "found a piece with invalid utf-8"),
        (vec![0; (1 << 25) + 1], "expected at most 33554432 bytes, found 33554433"),
        (field(1, b"\x0a\x01a").repeat((1 << 20) + 1), "expected at most 1048576 pieces, found more"),
    ];
    for (file, sentence) in cases {
        let error = to_tokenizer_json(&file).unwrap_err();
        assert!(error.kind() == ErrorKind::BadModel && error.to_string().contains(sentence), "{error}");
    }
}

/// A letter among others in every place: few pieces can ask for very many merges.
#[test]
fn merges_take_bounded_memory() {
    let runs: Vec<_> = (0..256)
        .flat_map(|left| (0..256 - left).map(move |right| "a".repeat(left) + "b" + &"a".repeat(right)))
        .collect();
    let letters: Vec<_> = (1..=256).map(|length| "a".repeat(length)).collect();
    let all: Vec<_> = runs.iter().chain(&letters).map(|text| (text.as_str(), 0.0, 1)).collect();
    let error = to_tokenizer_json(&model(&[&[("<unk>", 0.0, 2)], &all[..]].concat(), BPE, &[], &[])).unwrap_err();
    assert!(error.to_string().contains("expected at most 67108864 bytes of merges, found more"), "{error}");
}

/// A model file with these pieces (text, score, type) and settings (number of the field, value).
fn model(pieces: &[(&str, f32, u64)], algorithm: u64, trainer: &[(u64, u64)], normalizer: &[(u64, u64)]) -> Vec<u8> {
    let pieces = pieces.iter().flat_map(|(text, score, kind)| {
        let score = [&[0x15], &score.to_le_bytes()[..]].concat();
        field(1, &[field(1, text.as_bytes()), score, number(3, *kind)].concat())
    });
    let numbers =
        |values: &[(u64, u64)]| values.iter().flat_map(|(field, value)| number(*field, *value)).collect::<Vec<_>>();
    let trainer = field(2, &[number(3, algorithm), numbers(trainer)].concat());
    let normalizer = field(3, &[field(1, b"identity"), numbers(normalizer)].concat());
    pieces.chain(trainer).chain(normalizer).collect()
}

fn field(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
