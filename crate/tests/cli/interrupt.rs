//! Ctrl-C in the middle.

#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Desk, generate};

const INTERRUPTED: i32 = 130;
/// One step of the model that ships takes a fraction of this, even where other tests run.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run of a thousand steps that has begun to sample.
fn begun(desk: &Desk) -> Child {
    let args = generate(&["a star", "-o", "a.png", "--steps", "1000", "--json", "--preview-every", "1"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut command = desk.command(&args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
    let has_begun = lines.any(|line| line.expect("text").contains("\"step\":2"));
    assert!(has_begun);
    child
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.expect("kill starts").success());
}

#[test]
fn ctrl_c_stops_within_a_step_and_leaves_nothing() {
    let desk = Desk::new();
    let mut child = begun(&desk);
    let start = Instant::now();
    interrupt(&child);
    let mut stderr = String::new();
    let mut stdout = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("text");
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
    assert_eq!(child.wait().expect("an end").code(), Some(INTERRUPTED));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(stderr, "error: interrupted\n");
    assert!(
        stdout.trim_end().ends_with("{\"type\":\"error\",\"code\":\"aborted\",\"message\":\"interrupted\"}"),
        "{stdout}"
    );
    assert!(desk.names().is_empty(), "{:?}", desk.names());
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_picture() {
    let desk = Desk::new();
    let args = generate(&["a star", "-o", "a.png", "--json"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut child =
        desk.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
    assert_eq!((child.wait().expect("an end").code(), stderr.as_str()), (Some(0), ""));
    assert_eq!(desk.names(), ["a.png"]);
}
