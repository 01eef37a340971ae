//! The tokenizer and the language model against those of transformers (fixtures/text_llama).

mod support;

use flagdit::text::language_model::{LanguageModel, LanguageModelConfig, batch_ids};
use flagdit::text::tokenizer::{Tokenizer, TokenizerRules};
use flagdit::weights::upstream;
use serde_json::Value;
use support::{Case, Target, json};

/// Three layers of f32 arithmetic in another order.
const STATES: f64 = 1e-4;
/// Token ids and masks are integers.
const EXACT: f64 = 0.0;

const BOS: u32 = 1;
const EOS: u32 = 2;
/// Lumina-T2I's demo does not cut prompts.
const NO_LIMIT: usize = 512;

#[test]
fn upstream_is_matched_on_the_cpu() {
    check(&support::cpu());
}

#[test]
fn upstream_is_matched_on_the_gpu() {
    check(&support::software_gpu());
}

fn config() -> LanguageModelConfig {
    serde_json::from_value(json("text_llama/config.json")).expect("the fields that transformers has")
}

fn tokenizer(eos: Option<u32>, max_tokens: usize) -> Tokenizer {
    let rules = TokenizerRules { bos: Some(BOS), eos, pad: 0, max_tokens, lowercase: false };
    Tokenizer::new(&support::read("text_llama/tokenizer.json"), rules, config().vocab_size).expect("a tokenizer")
}

fn strings(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).expect("a list of strings")
}

fn check(target: &Target) {
    let case = Case::new("text_llama", target);
    let shards = [1, 2].map(|i| format!("text_llama/model-0000{i}-of-00002.safetensors"));
    let params = support::params(&shards.each_ref().map(String::as_str), upstream::llama, case.device());
    let model = LanguageModel::new(&config(), &params).expect("every tensor has its place");

    let tokenizer = tokenizer(Some(EOS), NO_LIMIT);
    let encode = |prompt: &String| tokenizer.encode(prompt).expect("any text can be encoded").ids;
    let rows: Vec<Vec<u32>> = strings(&json("text_llama/case.json")["prompts"]).iter().map(encode).collect();
    let (ids, mask) = batch_ids(&rows, tokenizer.rules().pad, case.device());
    case.compare("input_ids", ids.float(), EXACT);
    case.compare("mask", mask, EXACT);

    let ids = case.tensor::<2>("input_ids").int();
    // The last layer's output is stored after the final norm only.
    let states = model.hidden_states(ids.clone());
    assert_eq!(states.len(), config().num_hidden_layers + 1);
    for (i, state) in states.into_iter().take(config().num_hidden_layers).enumerate() {
        case.compare(&format!("hidden_state_{i}"), state, STATES);
    }
    case.compare("last_hidden_state", model.forward(ids), STATES);
    case.finish();
}

/// (text, ids with BOS).
fn tokenizer_tests() -> Vec<(String, Vec<u32>)> {
    let fields = |test: &Value| {
        let ids = serde_json::from_value(test["ids"].clone()).expect("a list of ids");
        (test["text"].as_str().expect("a text").to_owned(), ids)
    };
    json("text_llama/case.json")["tokenizer_tests"].as_array().expect("a list").iter().map(fields).collect()
}

#[test]
fn ids_are_upstreams() {
    let tokenizer = tokenizer(None, NO_LIMIT);
    let tests = tokenizer_tests();
    assert!(tests.len() > 10);
    for (text, ids) in tests {
        let found = tokenizer.encode(&text).expect("any text can be encoded");
        assert_eq!((found.ids, found.cut), (ids, None), "{text:?}");
    }
}

/// Wherever the limit falls, inside a character of many bytes too, the user learns what was cut.
#[test]
fn what_does_not_fit_is_told() {
    for (text, ids) in tokenizer_tests() {
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
