//! What `bench --json` prints, which tables are made of.

use serde_json::{Value, json};

use crate::convert::fixture;
use crate::harness::{Desk, FILE, USAGE, toybox};
use crate::labels;

/// Steps that the bench counts at least.
const LEAST: u64 = 5;

/// The one line that it prints.
fn measured(desk: &Desk, args: &[&str]) -> Value {
    let outcome = desk.run(&[&["bench", "--json"], args].concat()).succeeded();
    let mut events: Vec<Value> = outcome.events().into_iter().filter(|event| event["type"] == "bench").collect();
    assert_eq!(events.len(), 1, "{}", outcome.stdout);
    events.remove(0)
}

/// What every report has.
fn check(report: &Value, kind: &str, is_software: bool) {
    let adapter = &report["adapter"];
    assert_eq!((&adapter["kind"], &adapter["isSoftware"]), (&json!(kind), &json!(is_software)), "{report}");
    assert!(adapter["name"].as_str().is_some_and(|name| !name.is_empty()), "{report}");
    assert_eq!(report["modelHash"].as_str().map(str::len), Some(64), "{report}");
    for name in ["loadMs", "firstStepMs", "stepMs", "leastStepMs", "gflops", "tokens", "captionTokens", "batch"] {
        assert!(report[name].as_f64() > Some(0.0), "{name}: {report}");
    }
    assert!(report["leastStepMs"].as_f64() <= report["stepMs"].as_f64(), "{report}");
    assert!(report["counted"].as_u64() >= Some(LEAST), "{report}");
    if cfg!(target_os = "linux") {
        assert!(report["peakMemoryBytes"].as_u64() > Some(1 << 20), "{report}");
    }
}

#[test]
fn a_picture_is_measured() {
    let desk = Desk::new();
    let model = toybox().display().to_string();
    let report = measured(&desk, &["--model", &model, "--size", "32x32", "--steps", "2", "--device", "cpu"]);
    check(&report, "cpu", false);
    assert_eq!((&report["work"], &report["adapter"]["backend"]), (&json!("generation"), &json!("flex")));
    let made = ["kind", "width", "height", "steps", "solver", "batch"].map(|name| report[name].clone());
    assert_eq!(made, [json!("image"), json!(32), json!(32), json!(2), json!("midpoint"), json!(2)]);
    assert!(report["generationMs"].as_f64() > report["stepMs"].as_f64(), "{report}");
    assert!(report["deviceMemoryBytes"].is_null() && report.get("kernels").is_none(), "{report}");

    assert!(desk.refusal(USAGE, &["bench", "--steps", "0"]).contains("1 to 1000"));
    let people =
        desk.run(&["bench", "--model", &model, "--size", "32x32", "--steps", "1", "--device", "cpu"]).succeeded();
    assert!(people.stdout.contains("GFLOP/s") && people.stdout.contains("1 steps of midpoint"), "{}", people.stdout);
}

/// A model of labels is asked for one, whatever the bench says to others.
#[test]
fn a_picture_of_a_class_is_measured() {
    let desk = Desk::new();
    labels::write(&desk.path(""), "flag");
    let vae = fixture("vae/vae");
    desk.run(&["convert", labels::CHECKPOINT, "-o", "m", "--config", labels::ARGUMENTS, "--vae", &vae, "--quiet"])
        .succeeded();
    let report = measured(&desk, &["--model", "m", "--steps", "2", "--device", "cpu"]);
    let made = ["work", "kind", "width", "batch", "tokens", "captionTokens"].map(|name| report[name].clone());
    let side = labels::INPUT_SIZE * 8;
    let tokens = (labels::INPUT_SIZE / 2).pow(2);
    assert_eq!(made, [json!("generation"), json!("image"), json!(side), json!(2), json!(tokens), json!(0)]);
    assert!(report["stepMs"].as_f64() > Some(0.0), "{report}");
    assert!(
        desk.refusal(USAGE, &["bench", "--model", "m", "--kind", "video", "--device", "cpu", "--quiet"])
            .contains("video")
    );
}

/// The software adapter has timestamps too.
#[test]
fn a_denoiser_alone_is_measured_and_so_are_the_gpus_kernels() {
    let desk = Desk::new();
    let source = fixture("flag_dit_t2i/consolidated.00-of-01.safetensors");
    desk.run(&["convert", &source, "-o", "model", "--component", "denoiser", "--quiet"]).succeeded();
    let denoiser = ["--model", "model", "--denoiser", "--size", "64x32"];
    let report =
        measured(&desk, &[&denoiser[..], &["--device", "cpu", "--batch", "3", "--caption-tokens", "7"]].concat());
    check(&report, "cpu", false);
    // A token is 16 pixels wide, and every row of tokens ends with one more.
    let made = ["work", "width", "height", "tokens", "batch", "captionTokens"].map(|name| report[name].clone());
    assert_eq!(made, [json!("denoiser"), json!(64), json!(32), json!(10), json!(3), json!(7)]);
    assert!(report["steps"].is_null() && report["generationMs"].is_null(), "{report}");

    // The toybox draws 256 pixels at most; its denoiser does not mind.
    let toybox = toybox().display().to_string();
    let args = ["--model", &toybox, "--denoiser", "--size", "16x272", "--batch", "1", "--device", "cpu"];
    let report = measured(&desk, &args);
    assert_eq!((&report["height"], &report["tokens"]), (&json!(272), &json!(34)), "{report}");

    let report = measured(&desk, &[&denoiser[..], &["--device", "gpu", "--kernels"]].concat());
    check(&report, "software", true);
    assert!(report["deviceMemoryBytes"].as_u64() > Some(1 << 10), "{report}");
    let kernels = report["kernels"].as_array().expect("kernels");
    let shares: f64 = kernels.iter().filter_map(|kernel| kernel["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{report}");
    for name in ["linear.wgsl", "attention_apart.wgsl", "qk_norm_rope.wgsl"] {
        assert!(
            kernels.iter().any(|kernel| kernel["name"] == name && kernel["ms"].as_f64() > Some(0.0)),
            "{name}: {report}"
        );
    }
}

/// No shader of ours runs, and matrices that are quantized are none there.
#[test]
fn burns_own_operations_are_measured_in_our_kernels_place() {
    let desk = Desk::new();
    let toybox = toybox().display().to_string();
    let denoiser = ["--model", &toybox, "--denoiser", "--size", "16x16", "--batch", "1", "--kernels"];
    let [ours, burns] = [&[][..], &["--stock"]].map(|more| {
        let report = measured(&desk, &[&denoiser[..], &["--device", "gpu"], more].concat());
        check(&report, "software", true);
        assert_eq!(report["stock"], json!(!more.is_empty()), "{report}");
        let kernels = report["kernels"].as_array().expect("kernels");
        kernels.iter().filter(|kernel| kernel["name"].as_str().is_some_and(|name| name.ends_with(".wgsl"))).count()
    });
    assert!(ours > 0 && burns == 0, "{ours} and {burns} shaders of ours");
    let report = measured(&desk, &[&denoiser[..], &["--device", "cpu", "--stock"]].concat());
    check(&report, "cpu", false);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let desk = Desk::new();
    let model = toybox().display().to_string();
    let refusal =
        |code, args: &[&str]| desk.refusal(code, &[&["bench", "--device", "cpu", "--quiet", "--model"], args].concat());
    assert!(refusal(USAGE, &[&model, "--denoiser", "--size", "70x64"]).contains("nearest"));
    assert!(refusal(USAGE, &[&model, "--denoiser", "--size", "16384x16384"]).contains("at most 262144 tokens"));
    assert!(refusal(USAGE, &[&model, "--denoiser", "--batch", "0"]).contains("batch: expected 1 to"));
    assert!(refusal(USAGE, &[&model, "--batch", "2"]).contains("--denoiser"));
    assert!(refusal(USAGE, &[&model, "--denoiser", "--steps", "2"]).contains("--steps"));
    assert!(refusal(FILE, &["nowhere", "--denoiser"]).contains("nowhere"));
}
