//! The way to trust a conversion: what came out of `convert` is compared with what upstream computed.

use crate::convert::{fixture, official, parts};
use crate::harness::{Desk, FILE, USAGE};

/// Exit code of a check that failed.
const CHECK: i32 = 1;

/// Converted alone: fixture, what is converted, as which component.
const ALONE: [(&str, &str, &str); 6] = [
    ("flag_dit_t2i", "flag_dit_t2i/consolidated.00-of-01.safetensors", "denoiser"),
    ("next_dit_t2i", "next_dit_t2i", "denoiser"),
    ("text_llama", "text_llama", "text"),
    ("text_gemma", "text_gemma", "text"),
    ("vae", "vae/vae", "decoders.image"),
    ("vae", "vae/vae_legacy_names", "decoders.image"),
];

#[test]
fn every_network_computes_what_upstream_computed() {
    for (case, source, component) in ALONE {
        let desk = Desk::new();
        let (reference, source) = (fixture(case), fixture(source));
        desk.run(&["convert", &source, "-o", "model", "--component", component, "--quant", "f32", "--quiet"])
            .succeeded();
        for device in ["cpu", "gpu"] {
            let run = desk.run(&["check", "model", &reference, "--device", device, "--json"]).succeeded();
            let report: serde_json::Value = run.stdout.lines().last().expect("a line").parse().expect("JSON");
            let comparisons = report["comparisons"].as_array().expect("comparisons");
            assert!(comparisons.len() >= 3 && report["good"] == true, "{case} on {device}: {report}");
            assert_eq!(report["notComputed"], serde_json::json!([]), "{case} on {device}");
        }
    }
}

#[test]
fn a_whole_pipeline_computes_what_diffusers_computed() {
    let desk = Desk::new();
    let reference = fixture("diffusers_lumina_next");
    let source = fixture("diffusers_lumina_next/pipeline");
    desk.run(&["convert", &source, "-o", "model", "--quant", "f32", "--quiet"]).succeeded();
    for device in ["cpu", "gpu"] {
        let run = desk.run(&["check", "model", &reference, "--device", device]).succeeded();
        for name in ["a_negative_input_ids", "b_prompt_embeds", "c_transformer_out_0", "c_latents_4", "b_image_u8"] {
            assert!(run.stdout.contains(name), "{device}: {}", run.stdout);
        }
    }
    let run = desk.run(&["check", "model", &reference, "--component", "text", "--device", "cpu"]).succeeded();
    assert!(run.stdout.contains("a_prompt_embeds") && !run.stdout.contains("a_latents_1"), "{}", run.stdout);
}

#[test]
fn what_differs_is_told_and_fails() {
    let desk = Desk::new();
    let [source, text, vae] = parts();
    desk.run(&[&official(&source, &text, &vae)[..], &["--quant", "q4"]].concat()).succeeded();
    let reference = fixture("flag_dit_t2i");
    let check = ["check", "model", &reference, "--device", "cpu", "--quiet"];
    let line = desk.refusal(CHECK, &check);
    assert!(line.contains("farther") && line.contains("--tolerance"), "{line}");
    // Four bits are some percent off, not more.
    desk.run(&[&check[..], &["--tolerance", "0.5"]].concat()).succeeded();

    // A tensor that nothing computes fails the check as well.
    let folder = desk.path("reference");
    std::fs::create_dir(&folder).expect("a new folder");
    std::fs::copy(fixture("text_llama/config.json"), folder.join("config.json")).expect("a copy");
    let bytes = std::fs::read(fixture("text_llama/io.safetensors")).expect("the fixture");
    std::fs::write(folder.join("io.safetensors"), renamed(bytes, "hidden_state_1", "hidden_stat3_1")).expect("a file");
    let line = desk.refusal(CHECK, &["check", "model", "reference", "--device", "cpu", "--tolerance", "1", "--quiet"]);
    assert!(line.contains("hidden_stat3_1"), "{line}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let desk = Desk::new();
    let [source, ..] = parts();
    desk.run(&["convert", &source, "-o", "model", "--component", "denoiser", "--quant", "f32", "--quiet"]).succeeded();
    let [flag, next, llama] = ["flag_dit_t2i", "next_dit_t2i", "text_llama"].map(fixture);
    let refusal = |code, args: &[&str]| desk.refusal(code, &[args, &["--device", "cpu", "--quiet"]].concat());
    let line = refusal(FILE, &["check", "model", &next]);
    assert!(line.contains("another model"), "{line}");
    let line = refusal(FILE, &["check", "model", &llama]);
    assert!(line.contains("denoiser only"), "{line}");
    let line = refusal(USAGE, &["check", "model", &flag, "--component", "text"]);
    assert!(line.contains("denoiser"), "{line}");
    let line = refusal(USAGE, &["check", "model", &flag, "--tolerance", "NaN"]);
    assert!(line.contains("--tolerance"), "{line}");
    let line = refusal(FILE, &["check", "model", "nowhere"]);
    assert!(line.contains("nowhere"), "{line}");
    // A part of a model makes no pictures.
    let line = refusal(FILE, &["generate", "a cat", "-o", "a.png", "--model", "model"]);
    assert!(line.contains("a part of a model"), "{line}");
    assert_eq!(desk.names(), ["model"]);
}

/// A safetensors file with a tensor called by another name of the same length.
fn renamed(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let quoted = |name: &str| format!("\"{name}\"").into_bytes();
    let (from, to) = (quoted(from), quoted(to));
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the name");
    bytes[at..at + to.len()].copy_from_slice(&to);
    bytes
}
