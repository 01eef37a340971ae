//! The layouts are those of the fixtures, which upstream's code has written, and of the released files, whose sizes are known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flagdit::model::FlagDitConfig;
use flagdit::text::sentencepiece::to_tokenizer_json;
use flagdit::text::tokenizer::{Tokenizer, TokenizerRules};
use flagdit::weights::checkpoint::Checkpoint;
use flagdit::weights::header::Dtype;
use serde_json::{Map, Value, json};

use crate::models::{self, Changes, Family, Text};
use crate::numbers::{Numbers, Spread};
use crate::tensors::{self, Entry};
use crate::vocabulary;
use crate::{Part, files, write};

/// Of a sample of a million, eight standard errors.
const SAMPLE_ERROR: f64 = 0.008;

/// Pieces of a vocabulary with all words of two syllables, and some of three.
const VOCABULARY: usize = 60_000;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crate/tests/fixtures").join(path)
}

fn json_of(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(path)).expect("a fixture")).expect("JSON")
}

type Layout = BTreeMap<String, (Vec<usize>, Dtype)>;

fn stored(path: &str) -> Layout {
    let checkpoint = Checkpoint::open(&fixture(path)).expect("a fixture");
    checkpoint.tensors().map(|(name, info)| (name.to_owned(), (info.shape.clone(), info.dtype))).collect()
}

fn layout(entries: &[Entry]) -> Layout {
    entries.iter().map(|entry| (entry.name.clone(), (entry.shape.clone(), entry.dtype))).collect()
}

#[test]
fn denoisers_are_laid_out_as_upstream_does() {
    for (case, variant) in [("flag_dit_t2i", "flag"), ("next_dit_t2i", "next")] {
        let mut arguments = json_of(&format!("{case}/config.json"))["model"].clone();
        arguments["variant"] = variant.into();
        arguments["nextline"] = (variant == "flag").into();
        let config: FlagDitConfig = serde_json::from_value(arguments).expect("arguments");
        assert_eq!(layout(&tensors::denoiser(&config).expect("a network")), stored(case), "{case}");
    }
}

#[test]
fn text_encoders_and_autoencoders_are_laid_out_as_upstream_does() {
    for case in ["text_llama", "text_gemma"] {
        let config = json_of(&format!("{case}/config.json"));
        let vocabulary = Family { marks: &["<unk>"], has_dummy_prefix: true };
        let text = Text { config, dtype: Dtype::F32, shard_bytes: 0, vocabulary };
        assert_eq!(layout(&tensors::text(&text).expect("a network")), stored(case), "{case}");
    }
    for case in ["vae/vae", "diffusers_lumina_next/pipeline/vae"] {
        let config = serde_json::from_value(json_of(&format!("{case}/config.json"))).expect("a configuration");
        assert_eq!(layout(&tensors::vae(&config).expect("a network")), stored(case), "{case}");
    }
}

/// `model.md` §1.1, §1.2, §2; the sizes of the files are those of the released ones.
#[test]
fn released_models_have_as_many_parameters() {
    let denoiser = |name| tensors::denoiser(&models::model(name).expect("a model").denoiser).expect("a network");
    let numbers = |entries: &[Entry]| entries.iter().map(Entry::count).sum::<u64>();
    assert_eq!((denoiser("lumina-t2i").len(), denoiser("lumina-next").len()), (688, 567));
    assert_eq!(numbers(&denoiser("lumina-t2i")), 5_046_643_744);
    assert_eq!(numbers(&denoiser("lumina-next")), 1_627_386_400);
    assert_eq!(numbers(&denoiser("imagenet-flag-3b")), 4_237_824_032);
    let billions = |name| (numbers(&denoiser(name)) as f64 / 1e6).round() / 1e3;
    let others = [
        ("lumina-next-mha", 1.989),
        ("imagenet-flag-600m", 0.610),
        ("imagenet-flag-7b", 7.294),
        ("imagenet-next-600m", 0.559),
        ("imagenet-next-2b", 1.763),
        ("imagenet-next-3b", 4.036),
        ("imagenet-next-7b", 7.025),
    ];
    for (name, expected) in others {
        assert_eq!(billions(name), expected, "{name}");
    }
    let text = |name| models::model(name).expect("a model").text.expect("a text encoder");
    let (llama, gemma) = (text("lumina-t2i"), text("lumina-next"));
    let entries = tensors::text(&llama).expect("a network");
    let shards = files::split(&entries, llama.shard_bytes);
    // As the index of meta-llama/Llama-2-7b-hf has it.
    assert_eq!(files::index(&shards, |_| String::new())["metadata"]["total_size"], 13_476_839_424_u64);
    assert_eq!(shards.len(), 2);
    assert_eq!(numbers(&tensors::text(&gemma).expect("a network")), 2_506_172_416);
}

#[test]
fn other_arguments_make_a_part_of_a_model() {
    let object = |value: Value| -> Map<String, Value> { serde_json::from_value(value).expect("an object") };
    let model = |changes| models::model("lumina-next").expect("a model").with(&changes);
    let block = model(Changes {
        denoiser: object(json!({ "n_layers": 1 })),
        text: object(json!({ "num_hidden_layers": 2 })),
        ..Changes::default()
    });
    let block = block.expect("a model");
    assert_eq!((block.denoiser.n_layers, block.denoiser.dim), (1, 2304));
    let text = block.text.expect("a text encoder").config;
    assert_eq!((&text["num_hidden_layers"], &text["hidden_size"]), (&json!(2), &json!(2048)));
    let misspelt = Changes { denoiser: object(json!({ "layers": 1 })), ..Changes::default() };
    assert!(model(misspelt).err().expect("a refusal").to_string().contains("layers"));
}

#[test]
fn a_vocabulary_is_one_that_is_read() {
    for (name, bos, whole) in [("lumina-next", 2, "kamo"), ("lumina-t2i", 1, "▁kamo")] {
        let text = models::model(name).expect("a model").text.expect("a text encoder");
        let file = vocabulary::model(text.vocabulary, VOCABULARY);
        let json = to_tokenizer_json(&file).expect("a SentencePiece model, every piece once");
        let parsed: Value = serde_json::from_slice(&json).expect("JSON");
        let pieces = parsed["model"]["vocab"].as_object().expect("pieces");
        assert_eq!(pieces.len(), VOCABULARY);
        // As Gemma's, which has 580 000 for 256 000 pieces.
        assert!(parsed["model"]["merges"].as_array().expect("merges").len() > VOCABULARY);
        let rules = TokenizerRules { bos: Some(bos), max_tokens: 16, ..TokenizerRules::default() };
        let tokenizer = Tokenizer::new(&json, rules, VOCABULARY).expect("a tokenizer of this vocabulary");
        let ids = tokenizer.encode("kamo").expect("any text can be encoded").ids;
        assert_eq!(ids, [bos, pieces[whole].as_u64().expect("an id") as u32], "{name}: it was merged to one piece");
    }
}

#[test]
fn numbers_are_dense_and_spread_as_asked() {
    let spread = Spread { mean: 1.0, deviation: 0.25 };
    let mut values = vec![0.0; 1 << 20];
    Numbers::new("a", spread, 7).fill(5, &mut values);
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((mean - 1.0).abs() < SAMPLE_ERROR * 0.25 && (variance.sqrt() / 0.25 - 1.0).abs() < SAMPLE_ERROR);
    let different: BTreeSet<_> = values.iter().map(|value| value.to_bits()).collect();
    assert!(different.len() > values.len() * 3 / 4, "{}", different.len());
    let other = |name: &str, seed| {
        let mut other = [0.0; 3];
        Numbers::new(name, spread, seed).fill(6, &mut other);
        other
    };
    assert_eq!(other("a", 7), values[1..4], "a place has its number, whatever is drawn with it");
    assert!(other("b", 7) != other("a", 7) && other("a", 8) != other("a", 7));
}

/// Two of the three parts of a small model, the text encoder in several files and two dtypes.
#[test]
fn what_is_written_is_read() {
    let mut model = models::model("lumina-t2i").expect("a model");
    let arguments = json!({
        "patch_size": 2, "in_channels": 4, "dim": 48, "n_layers": 2, "n_heads": 4, "multiple_of": 32,
        "norm_eps": 1e-5, "learn_sigma": true, "qk_norm": true, "cap_feat_dim": 48
    });
    model.denoiser = serde_json::from_value(arguments).expect("arguments");
    let text = model.text.as_mut().expect("a text encoder");
    let small = json_of("text_llama/config.json");
    text.config = small;
    text.shard_bytes = 100_000;
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    write(&model, folder.path(), &[Part::Denoiser, Part::Text], 3).expect("a checkpoint");
    assert!(!folder.path().join("vae").exists());
    assert!(write(&model, folder.path(), &[Part::Denoiser], 3).is_err(), "nothing is overwritten");
    let text = model.text.expect("a text encoder");
    let parts = [
        (folder.path().to_owned(), tensors::denoiser(&model.denoiser).expect("a network")),
        (folder.path().join("text_encoder"), tensors::text(&text).expect("a network")),
    ];
    for (path, entries) in parts {
        let checkpoint = Checkpoint::open(&path).expect("what was written");
        assert_eq!(checkpoint.tensors().count(), entries.len());
        for entry in entries {
            let info = checkpoint.tensor(&entry.name).expect("every tensor");
            assert_eq!((&info.shape, info.dtype), (&entry.shape, entry.dtype), "{}", entry.name);
            let values = checkpoint.read(&entry.name, 0..info.rows()).expect("floats");
            let mut drawn = vec![0.0; values.len()];
            Numbers::new(&entry.name, entry.spread, 3).fill(0, &mut drawn);
            let rounded =
                |value: f32| if entry.dtype == Dtype::F16 { half::f16::from_f32(value).to_f32() } else { value };
            assert!(values.iter().zip(drawn).all(|(value, drawn)| *value == rounded(drawn)), "{}", entry.name);
        }
    }
}
