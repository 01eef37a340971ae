//! Requests that cannot be met: each is refused with one sentence that says why.

use crate::harness::{DEVICE, Desk, FILE, SUCCESS, USAGE};

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let desk = Desk::new();
    for (args, parts) in [
        (&["", "-o", "a.png"][..], &["prompt", "a text that says what to make"][..]),
        (&[" \t", "-o", "a.png"], &["prompt"]),
        (&["a star", "-o", "a.png", "--steps", "0"], &["steps", "1 to 1000", "found 0"]),
        (&["a star", "-o", "a.png", "--steps", "1001"], &["1 to 1000", "found 1001"]),
        (&["a star", "-o", "a.png", "--steps", "many"], &["--steps", "many"]),
        (&["a star", "-o", "a.png", "--solver", "rk5"], &["solver", "euler, midpoint, heun, rk4, dopri5", "rk5"]),
        (&["a star", "-o", "a.png", "--guidance", "-1"], &["guidance", "found -1"]),
        (&["a star", "-o", "a.png", "--guidance", "nan"], &["guidance", "found NaN"]),
        (&["a star", "-o", "a.png", "--time-shift", "0"], &["time shift", "0.001 to 1000"]),
        (&["a star", "-o", "a.png", "--seed", "9007199254740992"], &["seed", "0 to 9007199254740991"]),
        (&["a star", "-o", "a.png", "--seed", "-1"], &["--seed", "-1"]),
        (&["a star", "-o", "a.png", "--count", "0"], &["--count", "1 to 10000"]),
        (&["a star", "-o", "a.png", "--stepz", "4"], &["--stepz", "--steps"]),
        (&["a star"], &["--output"]),
        (&["a star", "--class", "3", "-o", "a.png"], &["--class <N>", "cannot be used with"]),
        (&["--class", "3", "-o", "a.png"], &["class: expected a prompt instead, found 3"]),
        (&["--class", "-1", "-o", "a.png"], &["--class", "-1"]),
        (&["-o", "a.png"], &["PROMPT"]),
    ] {
        let line = desk.generate_refusal(USAGE, args);
        assert!(parts.iter().all(|part| line.contains(part)), "{args:?}: {line}");
    }
}

#[test]
fn a_size_that_the_model_cannot_make_is_refused_with_the_nearest_ones() {
    let desk = Desk::new();
    for size in ["0x0", "0x64", "1x1", "65x64", "64x1000000", "18446744073709551615x64"] {
        let line = desk.generate_refusal(USAGE, &["a star", "-o", "a.png", "--size", size]);
        assert!(line.contains("size") && line.contains("the nearest: ") && line.contains(size), "{line}");
    }
    for size in ["64", "x", "64x", "-64x64", "64x64x64", "18446744073709551616x64"] {
        let size = format!("--size={size}");
        let line = desk.generate_refusal(USAGE, &["a star", "-o", "a.png", &size]);
        assert!(line.contains("WIDTHxHEIGHT"), "{line}");
    }
}

#[test]
fn other_endings_and_other_kinds_are_refused() {
    let desk = Desk::new();
    for (args, part) in [
        (&["a star", "-o", "a.tiff"][..], "found .tiff"),
        (&["a star", "-o", "a"], "a name with an ending, or --kind video or views beside a folder"),
        (&["a star", "-o", "a.gif", "--kind", "image"], "expected .png, .webp, .jpg for an image, found .gif"),
        (&["a star", "-o", "a.jpg", "--kind", "audio"], "expected .wav, .png for a sound, found .jpg"),
        (&["a star", "-o", "a.gif", "--views", "8", "--seconds", "1"], "seconds: a request of kind views"),
        (&["a star", "-o", "a.wav", "--size", "64x64"], "width: a request of kind audio"),
        (&["a star", "-o", "a.png", "--model", "https://example.org/m"], "this version reads folders only"),
    ] {
        let line = desk.generate_refusal(USAGE, args);
        assert!(line.contains(part), "{args:?}: {line}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_the_work() {
    let desk = Desk::new();
    desk.write("file.png", "not a folder");
    std::fs::create_dir(desk.path("folder.png")).expect("a folder");
    for output in ["nowhere/a.png", "file.png/a.png", "folder.png"] {
        let line = desk.generate_refusal(FILE, &["a star", "-o", output, "--steps", "1000"]);
        assert!(line.contains(output), "{line}");
    }
    assert_eq!(desk.read("file.png"), b"not a folder");
    desk.write("list.txt", "a star\n");
    let line = desk.generate_refusal(FILE, &["--prompts", "list.txt", "--out-dir", "file.png/out"]);
    assert!(line.contains("file.png/out"), "{line}");
}

#[test]
fn a_device_that_does_not_exist_is_refused_with_those_that_do() {
    let desk = Desk::new();
    let line = desk.generate_refusal(DEVICE, &["a star", "-o", "a.png", "--device", "gpu:99"]);
    assert!(line.contains("gpu:99") && line.contains("cpu"), "{line}");
    let line = desk.generate_refusal(USAGE, &["a star", "-o", "a.png", "--device", "cuda"]);
    assert!(line.contains("auto, gpu, gpu:N or cpu"), "{line}");
}

#[test]
fn a_prompt_that_is_too_long_is_cut_and_the_rest_is_named() {
    let desk = Desk::new();
    let prompt = "a large red star above a blue square, ".repeat(264);
    assert!(prompt.len() > 10_000);
    let outcome = desk.generate(&[&prompt, "-o", "a.png", "--quiet"]).succeeded();
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("warning: the prompt is longer than "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("blue square"), "{}", outcome.stderr);
    assert_eq!(desk.names(), ["a.png"]);
}

#[test]
fn any_text_is_a_prompt() {
    let desk = Desk::new();
    for prompt in ["星 \u{1f31f} звезда", "\u{202e}x\u{7}", "a\nb\tc", "<s></s>[INST]", "\"%s$(x)\\"] {
        let outcome = desk.generate(&[prompt, "-o", "a.png", "--quiet"]);
        assert_eq!(outcome.code, Some(SUCCESS), "{prompt:?}: {}", outcome.stderr);
    }
}

#[test]
fn errors_are_events_too() {
    let desk = Desk::new();
    for args in [&["a star", "-o", "a.tiff", "--json"][..], &["--json", "--nonsense"]] {
        let outcome = desk.generate(args);
        let events = outcome.events();
        assert_eq!((outcome.code, events.len()), (Some(USAGE), 1), "{events:?}");
        assert_eq!((&events[0]["type"], &events[0]["code"]), (&"error".into(), &"bad-request".into()));
        let message = events[0]["message"].as_str().expect("a message");
        assert_eq!(outcome.stderr, format!("error: {message}\n"));
    }
}
