//! The commands beside `generate`.

use std::process::Stdio;

use crate::harness::{Desk, USAGE};

#[test]
fn the_cpu_is_listed_and_auto_takes_one_device() {
    let desk = Desk::new();
    let events = desk.run(&["devices", "--json"]).succeeded().events();
    let devices = events[0]["devices"].as_array().expect("devices");
    assert!(devices.iter().any(|device| device["select"] == "cpu"));
    let chosen: Vec<_> = devices.iter().filter(|device| device["chosenByAuto"] == true).collect();
    assert!(chosen.len() == 1 && chosen[0]["kind"] != "software", "{chosen:?}");
    let outcome = desk.run(&["devices"]).succeeded();
    assert!(outcome.stdout.contains("cpu ") && outcome.stdout.contains("auto takes it"), "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_machine_without_a_gpu_driver_still_has_its_cpu() {
    let desk = Desk::new();
    let nowhere = "/nowhere/icd.json";
    let mut command = desk.command(&["devices", "--json"]);
    command.env("VK_ICD_FILENAMES", nowhere).env("VK_DRIVER_FILES", nowhere);
    let output = command.output().expect("the program starts");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"select\":\"cpu\""));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let desk = Desk::new();
    for args in [&["devices"][..], &["completions", "bash"], &["--help"], &["inspect", "--help"]] {
        let mut command = desk.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
    }
}

#[test]
fn every_shell_has_completions() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = desk.run(&["completions", shell]).succeeded().stdout;
        assert!(script.contains("preview-every"), "{shell}");
    }
    assert!(desk.refusal(USAGE, &["completions", "ksh"]).contains("bash, elvish, fish, powershell, zsh"));
    assert!(desk.refusal(USAGE, &[]).contains("generate, convert, inspect, check, bench, devices or completions"));
}
