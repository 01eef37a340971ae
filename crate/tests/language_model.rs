//! The tokenizers and the language models against those of transformers (fixtures/text_llama, fixtures/text_gemma).

mod support;

use burn::tensor::Tensor;
use flagdit::text::language_model::{LanguageModel, LanguageModelConfig, batch_ids};
use flagdit::text::tokenizer::{Tokenizer, TokenizerRules};
use flagdit::weights::upstream;
use serde_json::Value;
use support::{Case, Target, golden::json};

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
    let rules = TokenizerRules { bos: Some(BOS), eos, pad: 0, max_tokens, ..TokenizerRules::default() };
    Tokenizer::new(&support::golden::read("text_llama/tokenizer.json"), rules, config().vocab_size)
        .expect("a tokenizer")
}

fn strings(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).expect("a list of strings")
}

fn check(target: &Target) {
    let case = Case::new("text_llama", target);
    let shards = [1, 2].map(|i| format!("text_llama/model-0000{i}-of-00002.safetensors"));
    let params = support::params(&shards.each_ref().map(String::as_str), upstream::language_model, case.device());
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
    case.compare("last_hidden_state", model.forward(ids.clone()), STATES);
    assert_eq!(model.last_hidden_state(ids.clone()).into_data(), model.forward(ids).into_data());
    case.finish();
}

#[test]
fn gemma_is_matched_on_the_cpu() {
    check_gemma(&support::cpu());
}

#[test]
fn gemma_is_matched_on_the_gpu() {
    check_gemma(&support::software_gpu());
}

const GEMMA_BOS: u32 = 2;

fn gemma_config() -> LanguageModelConfig {
    serde_json::from_value(json("text_gemma/config.json")).expect("the fields that transformers has")
}

fn gemma_tokenizer() -> Tokenizer {
    let rules =
        TokenizerRules { bos: Some(GEMMA_BOS), eos: None, pad: 0, max_tokens: 256, ..TokenizerRules::default() };
    Tokenizer::new(&support::golden::read("text_gemma/tokenizer.json"), rules, gemma_config().vocab_size)
        .expect("a tokenizer")
}

fn check_gemma(target: &Target) {
    let case = Case::new("text_gemma", target);
    let params = support::params(&["text_gemma/model.safetensors"], upstream::language_model, case.device());
    let model = LanguageModel::new(&gemma_config(), &params).expect("every tensor has its place");

    let tokenizer = gemma_tokenizer();
    let encode = |prompt: &String| tokenizer.encode(prompt).expect("any text can be encoded").ids;
    let rows: Vec<Vec<u32>> = strings(&json("text_gemma/case.json")["prompts"]).iter().map(encode).collect();
    let golden = case.tensor::<2>("input_ids");
    let [prompts, tokens] = golden.dims();
    // Upstream fills up to a multiple of 8.
    let (ids, mask) = batch_ids(&rows, tokenizer.rules().pad, case.device());
    let filled = |x: Tensor<2>| {
        let missing = tokens - x.dims()[1];
        if missing == 0 { x } else { Tensor::cat(vec![x, Tensor::zeros([prompts, missing], case.device())], 1) }
    };
    case.compare("input_ids", filled(ids.float()), EXACT);
    case.compare("attention_mask", filled(mask), EXACT);

    let ids = golden.int();
    let states = model.hidden_states(ids.clone());
    assert_eq!(states.len(), gemma_config().num_hidden_layers + 1);
    for (i, state) in states.into_iter().take(gemma_config().num_hidden_layers).enumerate() {
        compare_tokens(&case, &format!("hidden_state_{i}"), state, &rows, |_| 0);
    }
    let features = model.forward(ids.clone());
    compare_tokens(&case, "features", features.clone(), &rows, |_| 0);
    compare_tokens(&case, "last_hidden_state", model.last_hidden_state(ids), &rows, |_| 0);
    // Where upstream has the padding on the left, its tokens come out as ours: positions are relative.
    let left = |row: &[u32]| tokens - row.len();
    compare_tokens(&case, "left_features", features, &rows, left);
    let [ids, mask] = ["left_input_ids", "left_attention_mask"].map(|name| case.tensor::<2>(name));
    for (i, row) in rows.iter().enumerate() {
        let found = |x: &Tensor<2>| -> Vec<u32> {
            let tokens = x.clone().narrow(0, i, 1).narrow(1, left(row), row.len());
            tokens.into_data().iter::<f32>().map(|id| id as u32).collect()
        };
        assert_eq!((found(&ids), found(&mask)), (row.clone(), vec![1; row.len()]));
    }
    case.finish();
}

/// Compares what belongs to tokens; at padding upstream's values carry no meaning. `start` is where a row's tokens begin in
/// upstream's tensor.
fn compare_tokens(case: &Case, name: &str, found: Tensor<3>, rows: &[Vec<u32>], start: impl Fn(&[u32]) -> usize) {
    let expected = case.tensor::<3>(name);
    let merged = rows.iter().enumerate().map(|(i, row)| {
        let (first, count) = (start(row), row.len());
        let tokens = expected.dims()[1];
        let whole = expected.clone().narrow(0, i, 1);
        let ours = found.clone().narrow(0, i, 1).narrow(1, 0, count);
        let rest = [(0, first), (first + count, tokens - first - count)];
        let [before, after] = rest.map(|(from, count)| (count > 0).then(|| whole.clone().narrow(1, from, count)));
        Tensor::cat([before, Some(ours), after].into_iter().flatten().collect(), 1)
    });
    case.compare(name, Tensor::cat(merged.collect(), 0), STATES);
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
