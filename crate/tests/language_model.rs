//! The tokenizers and the language models against those of transformers (fixtures/text_llama, fixtures/text_gemma).

mod support;

use flagdit::check::{Comparing, text};
use flagdit::text::language_model::{LanguageModel, LanguageModelConfig};
use flagdit::text::tokenizer::{Tokenizer, TokenizerRules};
use flagdit::weights::upstream;
use pollster::block_on;
use serde_json::Value;
use support::{Target, golden::json, verify};

/// Three layers of f32 arithmetic in another order.
const STATES: f64 = 1e-4;
/// Token ids and masks are integers.
const EXACT: f64 = 0.0;

const BOS: u32 = 1;
const EOS: u32 = 2;
/// Lumina-T2I's demo does not cut prompts.
const NO_LIMIT: usize = 512;
const GEMMA_BOS: u32 = 2;

const LLAMA: &str = "text_llama";
const GEMMA: &str = "text_gemma";

#[test]
fn llama_is_matched_on_the_cpu() {
    check_llama(&support::cpu());
}

#[test]
fn llama_is_matched_on_the_gpu() {
    check_llama(&support::software_gpu());
}

#[test]
fn gemma_is_matched_on_the_cpu() {
    check_gemma(&support::cpu());
}

#[test]
fn gemma_is_matched_on_the_gpu() {
    check_gemma(&support::software_gpu());
}

fn config(case: &str) -> LanguageModelConfig {
    serde_json::from_value(json(&format!("{case}/config.json"))).expect("the fields that transformers has")
}

fn tokenizer(eos: Option<u32>, max_tokens: usize) -> Tokenizer {
    with_rules(LLAMA, TokenizerRules { bos: Some(BOS), eos, pad: 0, max_tokens, ..TokenizerRules::default() })
}

fn gemma_tokenizer() -> Tokenizer {
    with_rules(GEMMA, TokenizerRules { bos: Some(GEMMA_BOS), max_tokens: 256, ..TokenizerRules::default() })
}

fn with_rules(case: &str, rules: TokenizerRules) -> Tokenizer {
    let json = support::golden::read(&format!("{case}/tokenizer.json"));
    Tokenizer::new(&json, rules, config(case).vocab_size).expect("a tokenizer")
}

fn check_llama(target: &Target) {
    let shards = [1, 2].map(|i| format!("text_llama/model-0000{i}-of-00002.safetensors"));
    let model = check(LLAMA, &shards.each_ref().map(String::as_str), &tokenizer(Some(EOS), NO_LIMIT), target);
    // Its features are the last hidden state.
    let reference = support::reference(LLAMA);
    let ids = Comparing::new(&reference, &target.device).input::<2>("input_ids", [None; 2]).expect("ids").int();
    assert_eq!(model.last_hidden_state(model.table(), ids.clone()).into_data(), model.forward(ids).into_data());
}

/// The stored features are compared, and where upstream has the padding on the left its tokens come out as ours: positions
/// are relative.
fn check_gemma(target: &Target) {
    check(GEMMA, &["text_gemma/model.safetensors"], &gemma_tokenizer(), target);
}

fn check(case: &str, weights: &[&str], tokenizer: &Tokenizer, target: &Target) -> LanguageModel {
    let params = support::params(weights, upstream::language_model, &target.device);
    let model = LanguageModel::new(&config(case), &params).expect("every tensor has its place");
    let reference = support::reference(case);
    let comparing = Comparing::new(&reference, &target.device);
    block_on(text::check(&comparing, &model, None, tokenizer)).expect("a reference of this model");
    let is_integer = |name: &str| name.ends_with("ids") || name.ends_with("mask");
    verify(case, target, &comparing.finish(true), |name| if is_integer(name) { EXACT } else { STATES });
    model
}

#[test]
fn gemmas_ids_are_upstreams() {
    let tokenizer = gemma_tokenizer();
    let tests = tokenizer_tests("text_gemma");
    assert!(tests.len() > 10);
    for (text, ids) in tests {
        assert_eq!(tokenizer.encode(&text).expect("any text can be encoded").ids, ids, "{text:?}");
    }
}

/// (text, ids with BOS).
fn tokenizer_tests(case: &str) -> Vec<(String, Vec<u32>)> {
    let fields = |test: &Value| {
        let ids = serde_json::from_value(test["ids"].clone()).expect("a list of ids");
        (test["text"].as_str().expect("a text").to_owned(), ids)
    };
    json(&format!("{case}/case.json"))["tokenizer_tests"].as_array().expect("a list").iter().map(fields).collect()
}

#[test]
fn ids_are_upstreams() {
    let tokenizer = tokenizer(None, NO_LIMIT);
    let tests = tokenizer_tests("text_llama");
    assert!(tests.len() > 10);
    for (text, ids) in tests {
        let found = tokenizer.encode(&text).expect("any text can be encoded");
        assert_eq!((found.ids, found.cut), (ids, None), "{text:?}");
    }
}

/// Wherever the limit falls, inside a character of many bytes too, the user learns what was cut.
#[test]
fn what_does_not_fit_is_told() {
    for (text, ids) in tokenizer_tests("text_llama") {
        for max_tokens in 3..ids.len() + 3 {
            let found = tokenizer(Some(EOS), max_tokens).encode(&text).expect("any text can be encoded");
            let kept = ids.len().min(max_tokens - 1);
            assert_eq!(found.ids, [&ids[..kept], &[EOS]].concat(), "{text:?} in {max_tokens}");
            match found.cut {
                None => assert_eq!(kept, ids.len(), "{text:?} in {max_tokens}"),
                Some(cut) => assert!(kept < ids.len() && text.ends_with(&cut) && !cut.is_empty(), "{text:?}: {cut:?}"),
            }
        }
    }
    let found = tokenizer(Some(EOS), 6).encode("a photo of a cat").expect("any text can be encoded");
    assert_eq!((found.ids, found.cut.as_deref()), (vec![BOS, 265, 277, 419, 407, EOS], Some("to of a cat")));
}
