//! Checkpoints from outside: what converts runs, and what does not is called by its name and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Desk, FILE, USAGE};
use crate::labels;

pub fn fixture(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crate/tests/fixtures").join(path).display().to_string()
}

/// The arguments of a conversion of Lumina-T2I's layout; more may follow.
pub fn official<'a>(source: &'a str, text: &'a str, vae: &'a str) -> Vec<&'a str> {
    vec!["convert", source, "-o", "model", "--text-encoder", text, "--vae", vae, "--quiet"]
}

pub fn parts() -> [String; 3] {
    ["flag_dit_t2i/consolidated.00-of-01.safetensors", "text_llama", "vae/vae"].map(fixture)
}

#[test]
fn an_official_checkpoint_becomes_a_model_in_every_format() {
    let [source, text, vae] = parts();
    let mut sizes = Vec::new();
    for quant in ["f32", "f16", "q8", "q4a", "q4"] {
        let desk = Desk::new();
        desk.run(&[&official(&source, &text, &vae)[..], &["--quant", quant]].concat()).succeeded();
        let inspected = desk.run(&["inspect", "model", "--json"]).succeeded();
        assert!(inspected.stdout.contains("flag-dit") && inspected.stdout.contains("llama"), "{}", inspected.stdout);
        desk.run(&[
            "generate", "a cat", "-o", "a.png", "--model", "model", "--size", "64x48", "--steps", "1", "--quiet",
        ])
        .succeeded();
        assert!(desk.read("a.png").starts_with(b"\x89PNG"));
        assert_eq!(desk.names(), ["a.png", "model"]);
        let denoiser = fs::read_dir(desk.path("model")).expect("a folder").flatten();
        let bytes = denoiser.filter(|file| file.file_name().to_string_lossy().starts_with("denoiser"));
        sizes.push(bytes.map(|file| file.metadata().expect("a file").len()).sum::<u64>());
    }
    assert!(sizes.is_sorted_by(|larger, smaller| larger > smaller), "{sizes:?}");
}

#[test]
fn a_sentencepiece_vocabulary_is_as_good_as_a_tokenizer_json() {
    let [source, text, vae] = parts();
    let desk = Desk::new();
    let folder = desk.path("text");
    fs::create_dir(&folder).expect("a new folder");
    for entry in fs::read_dir(&text).expect("a fixture").flatten() {
        if entry.file_name() != "tokenizer.json" {
            fs::copy(entry.path(), folder.join(entry.file_name())).expect("a copy");
        }
    }
    desk.run(&[&official(&source, "text", &vae)[..], &["--quant", "f32"]].concat()).succeeded();
    let ours = desk.read("model/text/tokenizer.json");
    assert!(serde_json::from_slice::<serde_json::Value>(&ours).is_ok_and(|json| json["model"]["type"] == "BPE"));
}

#[test]
fn a_denoiser_of_labels_and_an_autoencoder_are_a_model_that_draws_classes() {
    let desk = Desk::new();
    labels::write(&desk.path(""), "next");
    let vae = fixture("vae/vae");
    desk.run(&["convert", "labels.safetensors", "-o", "model", "--config", "config.json", "--vae", &vae, "--quiet"])
        .succeeded();
    let inspected = desk.run(&["inspect", "model"]).succeeded().stdout;
    assert!(inspected.lines().any(|line| line.starts_with("asked by") && line.ends_with("a class")), "{inspected}");
    assert!(desk.run(&["inspect", "model", "--plan", "64x64"]).succeeded().stdout.contains("it fits"));
    let rest = ["--model", "model", "--steps", "2", "--device", "cpu", "--quiet"];
    let made = |file, class, more: &[&str]| {
        desk.run(&[&["generate", "--class", class, "-o", file][..], &rest, more].concat()).succeeded();
        desk.read(file)
    };
    let (first, other) = (made("a.png", "3", &["--seed", "7"]), made("b.png", "4", &["--seed", "7"]));
    assert_ne!(first, other);
    desk.run(&[&["generate", "--from", "a.png", "-o", "c.png"][..], &rest].concat()).succeeded();
    assert_eq!(desk.read("c.png"), first);
    assert!(desk.run(&["inspect", "a.png"]).succeeded().stdout.contains("class          3\n"));
    let line = desk.refusal(USAGE, &[&["generate", "--class", "7", "-o", "x.png"][..], &rest].concat());
    assert!(line.contains("0 to 6"), "{line}");
    let line = desk.refusal(USAGE, &[&["generate", "a cat", "-o", "x.png"][..], &rest].concat());
    assert!(line.contains("knows classes, not words"), "{line}");
}

/// Every case: what stands where the denoiser is expected, and what the refusal must name.
#[test]
fn what_is_no_denoiser_is_called_by_its_name() {
    let [_, text, vae] = parts();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n".to_vec();
    let whole = fs::read(&parts()[0]).expect("the fixture");
    let lora = safetensors(&[("lora_A.weight", 4), ("lora_B.weight", 4)]);
    let flux = safetensors(&[("double_blocks.0.img_attn.proj.weight", 4), ("single_blocks.0.linear1.weight", 4)]);
    let other = safetensors(&[("something.weight", 4)]);
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("pointer.safetensors", lfs, "Git-LFS"),
        ("cut.safetensors", whole[..whole.len() / 2].to_vec(), "download"),
        ("lora.safetensors", lora, "LoRA"),
        ("flux.safetensors", flux, "Flux"),
        ("other.safetensors", other, "x_embedder"),
        ("page.pth", b"<!DOCTYPE html><html></html>".to_vec(), "a web page"),
        ("empty.safetensors", Vec::new(), "empty"),
    ];
    for (name, bytes, part) in cases {
        let desk = Desk::new();
        desk.write(name, bytes);
        let line = desk.refusal(FILE, &official(name, &text, &vae));
        assert!(line.contains(part), "{name}: {line}");
    }
}

/// It is read by another thread than the one that writes, after much else was written.
#[test]
fn a_number_that_cannot_be_stored_is_told_with_its_tensor() {
    let [source, text, vae] = parts();
    let mut bytes = fs::read(&source).expect("the fixture");
    // The last tensor, which is the denoiser's x_embedder.weight.
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let desk = Desk::new();
    desk.write("nan.safetensors", bytes);
    for quant in ["q4", "f32"] {
        let options = ["--quant", quant];
        let line = desk.refusal(FILE, &[&official("nan.safetensors", &text, &vae)[..], &options].concat());
        assert!(line.contains("denoiser.x_embedder.weight") && line.contains("NaN"), "{line}");
        assert_eq!(desk.names(), ["nan.safetensors"]);
    }
}

#[test]
fn what_does_not_belong_together_is_told() {
    let [source, text, vae] = parts();
    let desk = Desk::new();
    let missing = desk.refusal(USAGE, &["convert", &source, "-o", "model", "--vae", &vae, "--quiet"]);
    assert!(missing.contains("--text-encoder"), "{missing}");
    let nowhere = desk.refusal(FILE, &["convert", "nowhere", "-o", "model", "--quiet"]);
    assert!(nowhere.starts_with("error: nowhere: "), "{nowhere}");
    let gemma = fixture("text_gemma");
    let line = desk.refusal(FILE, &official(&source, &gemma, &vae));
    assert!(line.contains("text encoder") && line.contains("48") && line.contains("40"), "{line}");
    let line = desk.refusal(FILE, &official(&source, &vae, &vae));
    assert!(line.contains("a language model"), "{line}");
    let line = desk.refusal(USAGE, &[&official(&source, &text, &vae)[..], &["--quant", "q3"]].concat());
    assert!(line.contains("q4, q4a, q8, f16, f32"), "{line}");

    // A configuration of another network: every tensor that does not fit is listed in one line.
    let config: PathBuf = fixture("flag_dit_t2i/config.json").into();
    let text_config = fs::read_to_string(config).expect("the fixture").replace("\"n_layers\": 3", "\"n_layers\": 4");
    desk.write("config.json", text_config);
    let line = desk.refusal(FILE, &[&official(&source, &text, &vae)[..], &["--config", "config.json"]].concat());
    assert!(line.contains("missing") && line.contains("layers.3.attention.wq.weight"), "{line}");

    fs::create_dir(desk.path("model")).expect("a new folder");
    desk.write("model/mine.txt", "kept");
    let line = desk.refusal(FILE, &official(&source, &text, &vae));
    assert!(line.contains("no folder or an empty one"), "{line}");
    assert_eq!(desk.read("model/mine.txt"), b"kept");
}

/// A file of tensors with so many zeros each.
fn safetensors(tensors: &[(&str, usize)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for &(name, count) in tensors {
        let offsets = [end, end + 4 * count];
        header.insert(name.into(), serde_json::json!({ "dtype": "F32", "shape": [count], "data_offsets": offsets }));
        end += 4 * count;
    }
    let header = serde_json::Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; end]].concat()
}
