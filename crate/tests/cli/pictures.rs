//! What is made: the same picture for the same request, with the request inside.

use flagdit::output;
use flagdit::progress::{Image, Settings};
use flagdit::request::Kind;
use serde_json::Value;

use crate::harness::{Desk, FILE, toybox};

const PROMPT: &str = "a large red star above a blue square";

fn settings() -> Settings {
    Settings {
        kind: Kind::Image,
        prompt: PROMPT.into(),
        negative_prompt: String::new(),
        width: 64,
        height: 64,
        steps: 2,
        guidance: 4.0,
        solver: "euler".into(),
        time_shift: 1.0,
        seed: 3,
        model: "elsewhere".into(),
        model_hash: "0123456789abcdef".into(),
        ..Settings::default()
    }
}

#[test]
fn the_same_seed_makes_the_same_file_and_another_seed_another() {
    let desk = Desk::new();
    for (file, seed) in [("a.png", "7"), ("b.png", "7"), ("c.png", "8")] {
        desk.generate(&[PROMPT, "-o", file, "--seed", seed]).succeeded();
    }
    assert_eq!(desk.read("a.png"), desk.read("b.png"));
    assert_ne!(desk.read("a.png"), desk.read("c.png"));
    assert_eq!(desk.names(), ["a.png", "b.png", "c.png"]);
}

#[test]
fn a_random_seed_is_printed_and_makes_the_same_file_again() {
    let desk = Desk::new();
    let outcome = desk.generate(&[PROMPT, "-o", "a.png"]).succeeded();
    let seed = outcome.stdout.split("seed ").nth(1).and_then(|rest| rest.split(',').next()).expect("a seed");
    desk.generate(&[PROMPT, "-o", "b.png", "--seed", seed]).succeeded();
    assert_eq!(desk.read("a.png"), desk.read("b.png"));
    let other = desk.generate(&[PROMPT, "-o", "c.png"]).succeeded();
    assert_ne!(outcome.stdout.replace("a.png", ""), other.stdout.replace("c.png", ""));
}

#[test]
fn a_picture_repeats_itself_to_the_byte() {
    let desk = Desk::new();
    let all = ["--negative", "größe: \"星\", grau", "--guidance", "2.3", "--solver", "heun", "--time-shift", "1.7"];
    let args = [&["ein Stern: rot,\nSteps: 3, x 星", "-o", "a.png", "--seed", "9007199254740991"], &all[..]].concat();
    desk.generate(&args).succeeded();
    let outcome = desk.generate(&["--from", "a.png", "-o", "b.png", "--quiet"]).succeeded();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    assert_eq!(desk.read("a.png"), desk.read("b.png"));
    desk.generate(&["--from", "a.png", "-o", "c.png", "--seed", "1"]).succeeded();
    assert_ne!(desk.read("a.png"), desk.read("c.png"));
}

#[test]
fn the_request_can_be_read_from_the_file() {
    let desk = Desk::new();
    desk.generate(&[PROMPT, "-o", "a.png", "--seed", "7", "--negative", "grey"]).succeeded();
    let recorded = output::read_request(&desk.path("a.png")).expect("a request");
    assert_eq!((recorded.request.prompt.as_str(), recorded.request.seed), (PROMPT, 7));
    let event = &desk.run(&["inspect", "a.png", "--json"]).succeeded().events()[0];
    assert_eq!(event["request"]["negativePrompt"], "grey");
    assert_eq!(event["modelHash"].as_str().map(str::len), Some(64));
    assert!(desk.run(&["inspect", "a.png"]).succeeded().stdout.contains(PROMPT));
    // The form that other tools show.
    let bytes = desk.read("a.png");
    let parameters = format!("tEXtparameters\0{PROMPT}\nNegative prompt: grey\nSteps: 2, Sampler: ");
    assert!(bytes.windows(parameters.len()).any(|window| window == parameters.as_bytes()));

    desk.generate(&[PROMPT, "-o", "bare.png", "--no-metadata"]).succeeded();
    let line = desk.refusal(FILE, &["inspect", "bare.png"]);
    assert!(line.contains("bare.png") && line.contains("a picture that carries its request"), "{line}");
    desk.write("noise.png", "no picture");
    for args in [&["inspect", "noise.png"][..], &["generate", "--from", "noise.png", "-o", "x.png"]] {
        assert!(desk.refusal(FILE, args).contains("noise.png"));
    }
}

#[test]
fn a_picture_of_another_model_is_repeated_with_a_warning() {
    let desk = Desk::new();
    let image = Image { width: 1, height: 1, rgb: vec![0; 3] };
    output::save(&image, &desk.path("a.png"), Some(&settings())).expect("a picture");
    let outcome = desk.generate(&["--from", "a.png", "-o", "b.png", "--quiet"]).succeeded();
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("warning: a.png was made by elsewhere (0123456789)"), "{}", outcome.stderr);
}

#[test]
fn every_format_holds_the_picture() {
    let desk = Desk::new();
    for file in ["a.png", "a.webp", "a.jpg", "a.JPEG"] {
        desk.generate(&[PROMPT, "-o", file, "--size", "64x64"]).succeeded();
        let decoded = image::load_from_memory(&desk.read(file)).expect("a picture");
        assert_eq!((decoded.width(), decoded.height()), (64, 64), "{file}");
    }
}

#[test]
fn several_pictures_are_numbered_and_lists_have_a_folder() {
    let desk = Desk::new();
    desk.generate(&[PROMPT, "-o", "star.png", "--count", "2", "--seed", "4"]).succeeded();
    desk.generate(&[PROMPT, "-o", "one.png", "--seed", "5"]).succeeded();
    assert_eq!(desk.names(), ["one.png", "star-0.png", "star-1.png"]);
    assert_eq!(desk.read("star-1.png"), desk.read("one.png"));
    desk.write("list.txt", format!("{PROMPT}\n\na green ring\n"));
    desk.generate(&["--prompts", "list.txt", "--out-dir", "out", "--seed", "5"]).succeeded();
    assert_eq!(desk.read("out/0000.png"), desk.read("one.png"));
    assert!(desk.path("out/0001.png").is_file() && !desk.path("out/0002.png").exists());
}

#[test]
fn events_tell_the_whole_story_and_previews_leave_nothing() {
    let desk = Desk::new();
    let args = [PROMPT, "-o", "a.png", "--json", "--steps", "3", "--preview-every", "1", "--seed", "7"];
    let outcome = desk.generate(&args).succeeded();
    let events = outcome.events();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    let expected = ["ready", "stage", "stage", "step", "preview", "step", "preview", "step", "stage", "done"];
    assert_eq!(kinds, expected, "{}", outcome.stdout);
    let done: &Value = events.last().expect("an event");
    assert_eq!((&done["file"], &done["seed"]), (&"a.png".into(), &7.into()));
    assert_eq!((outcome.stderr.as_str(), desk.names()), ("", vec!["a.png".to_owned()]));
}

#[test]
fn the_model_that_ships_is_found_in_the_working_tree() {
    toybox();
    let desk = Desk::new();
    let output = desk.path("a.png").display().to_string();
    let mut command = desk.command(&["generate", PROMPT, "-o", &output, "--steps", "1", "--device", "cpu"]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crate/src");
    assert!(command.current_dir(folder).output().expect("the program starts").status.success());
    assert_eq!(desk.names(), ["a.png"]);
}
