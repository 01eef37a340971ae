//! Everything that is printed: results and JSON on stdout, progress, warnings and errors on stderr.

use std::io::{ErrorKind as IoErrorKind, Write as _, stdout};

use flagdit::error::{Error, Result};
use serde_json::{Value, json};

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    is_json: bool,
    is_quiet: bool,
}

impl Terminal {
    pub fn new(is_json: bool, is_quiet: bool) -> Self {
        Self { is_json, is_quiet }
    }

    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether progress may be shown: nobody reads both it and JSON.
    pub fn shows_progress(&self) -> bool {
        !self.is_json && !self.is_quiet
    }

    /// Prints what was asked for. A reader that went away (`| head -1`) is no failure.
    pub fn print(&self, text: &str) -> Result<()> {
        let text = printable(text);
        let mut stdout = stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != IoErrorKind::BrokenPipe => Err(Error::file("standard output", &error)),
            _ => Ok(()),
        }
    }

    /// Prints what is good to know.
    pub fn note(&self, text: &str) -> Result<()> {
        if self.shows_progress() { self.print(text) } else { Ok(()) }
    }

    /// Prints `event` if events are wanted.
    pub fn event(&self, event: &Value) -> Result<()> {
        if self.is_json { self.print(&event.to_string()) } else { Ok(()) }
    }

    pub fn warning(&self, message: &str) -> Result<()> {
        to_stderr("warning", message);
        self.event(&json!({ "type": "warning", "message": message }))
    }

    pub fn error(&self, code: &str, message: &str) {
        to_stderr("error", message);
        // Nothing is left to be tried if this cannot be printed either.
        let _ = self.event(&json!({ "type": "error", "code": code, "message": message }));
    }
}

/// Text from models and pictures must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// One line, whatever a message quotes. A closed stderr is no reason to stop.
fn to_stderr(what: &str, message: &str) {
    let message = message.split(['\n', '\r']).map(str::trim).collect::<Vec<_>>().join(" ");
    let message = printable(&message);
    let _ = writeln!(std::io::stderr(), "{what}: {message}");
}
