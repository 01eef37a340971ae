//! Model folders that are not as they should be.

use std::fs;
use std::path::Path;

use crate::harness::{Desk, FILE, USAGE, toybox};

/// A copy of the model that ships, as `model` on a desk.
fn copy() -> Desk {
    let desk = Desk::new();
    copy_folder(&toybox(), &desk.path("model"));
    desk
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("a folder that can be listed") {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("an entry");
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// The files that the manifest lists.
fn files(desk: &Desk) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_slice(&desk.read("model/manifest.json")).expect("JSON");
    let files = manifest["files"].as_array().expect("files");
    files.iter().map(|file| file["path"].as_str().expect("a path").to_owned()).collect()
}

/// Both commands that read a model must refuse this one, and name `part`.
fn is_refused(desk: &Desk, part: &str) {
    let generated = desk.generate_refusal(FILE, &["a star", "-o", "a.png", "--model", "model"]);
    let inspected = desk.refusal(FILE, &["inspect", "model", "--quiet"]);
    for line in [generated, inspected] {
        assert!(line.contains(part), "{line} does not name {part}");
    }
}

#[test]
fn a_folder_that_is_no_model_is_refused() {
    let desk = Desk::new();
    is_refused(&desk, "model: expected a model folder, found no folder");
    fs::create_dir(desk.path("model")).expect("a folder");
    is_refused(&desk, "manifest.json: expected a file of the model, found no file");
    for text in ["", "[]", "{", "{\"format\": \"other\", \"version\": 1}", &"[".repeat(100_000)] {
        desk.write("model/manifest.json", text);
        is_refused(&desk, "manifest.json");
    }
}

#[test]
fn no_model_at_all_is_refused_with_a_hint() {
    // The program would find the model above itself where it was built inside of the working tree: a copy does not.
    let desk = Desk::new();
    fs::copy(env!("CARGO_BIN_EXE_flagdit"), desk.path("flagdit")).expect("a copy");
    let mut command = std::process::Command::new(desk.path("flagdit"));
    command.current_dir(desk.path("")).args(["generate", "a star", "-o", "a.png", "--quiet"]);
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(FILE), 1), "{stderr}");
    assert!(stderr.contains("weights-quantized/toybox") && stderr.contains("--model"), "{stderr}");
    assert_eq!(desk.names(), ["flagdit"]);
}

#[test]
fn another_version_is_refused() {
    let desk = copy();
    let text = String::from_utf8(desk.read("model/manifest.json")).expect("text");
    let newer = text.replacen("\"version\": 1", "\"version\": 2", 1);
    assert_ne!(newer, text);
    desk.write("model/manifest.json", newer);
    is_refused(&desk, "manifest.json: version: expected 1, found 2");
}

#[test]
fn a_missing_a_short_and_a_long_file_are_refused_by_name() {
    let desk = copy();
    for file in files(&desk) {
        let name = format!("model/{file}");
        let whole = desk.read(&name);
        fs::remove_file(desk.path(&name)).expect("a file that can be removed");
        is_refused(&desk, &file);
        for bytes in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], &[], &[&whole[..], b"x"].concat()] {
            desk.write(&name, bytes);
            is_refused(&desk, &file);
        }
        desk.write(&name, &whole);
    }
}

#[test]
fn one_flipped_bit_is_found_wherever_it_is() {
    let desk = copy();
    for file in files(&desk) {
        let name = format!("model/{file}");
        let whole = desk.read(&name);
        for place in [whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            desk.write(&name, damaged);
            is_refused(&desk, &file);
        }
        desk.write(&name, &whole);
    }
}

#[test]
fn a_header_that_lies_is_refused() {
    let desk = copy();
    let file = files(&desk).into_iter().find(|file| file.ends_with(".safetensors")).expect("a shard");
    let name = format!("model/{file}");
    let whole = desk.read(&name);
    for length in [0, 1, whole.len() as u64, u64::MAX, u64::MAX - 7, 1 << 40] {
        let mut lying = whole.clone();
        lying[..8].copy_from_slice(&length.to_le_bytes());
        desk.write(&name, lying);
        is_refused(&desk, &file);
    }
    // A header of the right length that sends a tensor out of the file.
    let mut lying = whole;
    let digit = lying.windows(2).position(|pair| pair == b"]}").expect("offsets") - 1;
    lying[digit] = if lying[digit] == b'9' { b'1' } else { b'9' };
    desk.write(&name, lying);
    is_refused(&desk, &file);
}

#[test]
fn a_model_is_described_and_its_hashes_are_compared() {
    let desk = Desk::new();
    let model = toybox().display().to_string();
    let outcome = desk.run(&["inspect", &model, "--json"]).succeeded();
    let event = &outcome.events()[0];
    assert_eq!((&event["type"], &event["verified"]), (&"model".into(), &true.into()));
    let parts: Vec<_> = event["components"].as_array().expect("parts").iter().map(|part| &part["name"]).collect();
    assert_eq!(parts, ["text", "denoiser", "decoders.audio", "decoders.image"]);
    // Griffin-Lim has nothing to learn.
    let has_values = |part: &serde_json::Value| part["values"].as_u64() > Some(0);
    assert!(
        event["components"].as_array().expect("parts").iter().all(|p| has_values(p) != (p["name"] == "decoders.audio"))
    );
    let text = desk.run(&["inspect", &format!("{model}/manifest.json")]).succeeded().stdout;
    assert!(text.contains("agree with their hashes") && text.contains("flag-dit"), "{text}");
    assert_eq!(desk.run(&["inspect"]).code, Some(USAGE));
}
