//! What a request would take of a device, and what happens where it does not fit.

use serde_json::Value;

use crate::harness::{Desk, toybox};

/// Exit code where memory does not suffice.
const MEMORY: i32 = 5;

fn plan(desk: &Desk, args: &[&str]) -> Value {
    let manifest = toybox().join("manifest.json").display().to_string();
    let run = desk.run(&[&["inspect", &manifest, "--json", "--plan"], args].concat()).succeeded();
    let event: Value = run.stdout.trim().parse().expect("JSON");
    event["plan"].clone()
}

fn bytes(value: &Value) -> u64 {
    value.as_u64().expect("bytes")
}

#[test]
fn a_plan_is_told_from_the_manifest_alone() {
    let desk = Desk::new();
    let small = plan(&desk, &["64x64", "--device", "cpu"]);
    assert_eq!((&small["tokens"], &small["obstacles"]), (&20.into(), &Value::Array(vec![])));
    let large = plan(&desk, &["256x256", "--device", "cpu"]);
    for stage in 0..3 {
        let [small, large] = [&small, &large].map(|plan| &plan["stages"][stage]);
        assert_eq!(small["weights"], large["weights"]);
        // The prompt is as long for any picture.
        assert_eq!(bytes(&small["working"]) < bytes(&large["working"]), stage > 0, "{small} {large}");
    }
    // Quantized matrices stay as they are, on a GPU halves too.
    let gpu = plan(&desk, &["64x64", "--device", "gpu"]);
    let [on_gpu, on_cpu] = [&gpu, &small].map(|plan| bytes(&plan["stages"][1]["weights"]));
    assert!(on_gpu < on_cpu && on_cpu < bytes(&small["download"]), "{small} {gpu}");
    assert!(bytes(&gpu["capacity"]["maxBinding"]) >= 128 << 20, "{gpu}");

    // With less memory than all networks take, the peak is what the largest stage takes.
    let scarce = plan(&desk, &["64x64", "--device", "cpu", "--memory", "0.012"]);
    assert_eq!((&small["staysLoaded"], &scarce["staysLoaded"]), (&true.into(), &false.into()));
    assert!(bytes(&scarce["peak"]) <= 12_000_000 && bytes(&small["peak"]) > 12_000_000, "{scarce}");
    let none = plan(&desk, &["64x64", "--device", "cpu", "--memory", "0.01"]);
    assert!(none["obstacles"][0].as_str().is_some_and(|text| text.contains("10 MB are free")), "{none}");
}

#[test]
fn networks_that_do_not_fit_together_make_the_same_picture_one_after_the_other() {
    let desk = Desk::new();
    let model = toybox().display().to_string();
    let make = |file: &str, more: &[&str]| {
        let args =
            ["generate", "a red star", "-o", file, "--model", &model, "--device", "cpu", "--seed", "3", "--quiet"];
        desk.run(&[&args[..], &["--count", "2", "--steps", "2"], more].concat()).succeeded();
    };
    make("a.png", &[]);
    make("b.png", &["--memory", "0.012"]);
    for number in 0..2 {
        assert_eq!(desk.read(&format!("a-{number}.png")), desk.read(&format!("b-{number}.png")));
    }
}

#[test]
fn what_does_not_fit_at_all_is_refused_before_it_is_loaded() {
    let desk = Desk::new();
    let model = toybox().display().to_string();
    let args = ["generate", "a red star", "-o", "a.png", "--model", &model, "--device", "cpu", "--quiet"];
    let line = desk.refusal(MEMORY, &[&args[..], &["--memory", "0.01"]].concat());
    assert!(line.contains("to sample takes") && line.contains("10 MB are free"), "{line}");
    let line = desk.refusal(MEMORY, &[&args[..], &["--memory", "0.005"]].concat());
    assert!(line.contains("the network to sample has 6 MB, 5 MB are free"), "{line}");
    assert!(desk.names().is_empty());
}

/// What is refused is what is asked for, not what is usually asked for.
#[test]
fn a_smaller_picture_than_the_usual_one_may_fit() {
    let desk = Desk::new();
    let model = toybox().display().to_string();
    let args = ["generate", "a red star", "-o", "a.png", "--model", &model, "--device", "cpu", "--quiet"];
    let with = |size| [&args[..], &["--memory", "0.0106", "--steps", "1", "--size", size]].concat();
    assert!(desk.refusal(MEMORY, &with("64x64")).contains("to sample takes"));
    desk.run(&with("32x32")).succeeded();
    assert_eq!(desk.names(), ["a.png"]);
}
