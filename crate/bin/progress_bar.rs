//! Progress on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::Terminal;

/// How many plain lines a stage may take.
const PLAIN_LINES: u64 = 10;
const TICK: Duration = Duration::from_millis(120);

/// One line of progress for one piece of work after another.
pub struct Progress {
    bar: ProgressBar,
    is_plain: bool,
    label: String,
    /// Tenths that have been told in plain lines.
    told: u64,
}

impl Progress {
    pub fn new(terminal: &Terminal) -> Self {
        let is_terminal = stderr().is_terminal();
        let bar =
            if terminal.shows_progress() && is_terminal { ProgressBar::no_length() } else { ProgressBar::hidden() };
        Self { bar, is_plain: terminal.shows_progress() && !is_terminal, label: String::new(), told: 0 }
    }

    /// Work of unknown length begins.
    pub fn begin(&mut self, label: String) {
        self.start(label, "{spinner} {msg}");
        self.bar.enable_steady_tick(TICK);
        self.tell(&format!("{} …", self.label));
    }

    /// Work of `total` parts begins; what a part is, `unit` says.
    pub fn begin_of(&mut self, label: String, total: u64, unit: Unit) {
        self.bar.disable_steady_tick();
        self.start(label, unit.template());
        self.bar.set_length(total);
        self.bar.set_position(0);
    }

    /// `done` of `total` parts are done.
    pub fn update(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let tenth = done.saturating_mul(PLAIN_LINES) / total.max(1);
        if tenth > self.told {
            self.told = tenth;
            self.tell(&format!("{} {}%", self.label, done.saturating_mul(100) / total.max(1)));
        }
    }

    /// Prints through `print` without disturbing the bar.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    fn start(&mut self, label: String, template: &str) {
        // No colours: NO_COLOR has nothing to turn off.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.reset_eta();
        self.bar.set_message(label.clone());
        self.label = label;
        self.told = 0;
    }

    fn tell(&self, line: &str) {
        if self.is_plain {
            let _ = writeln!(stderr(), "{line}"); // Nobody to be told.
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What the parts of a work are.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    Steps,
    Bytes,
    Parts,
}

impl Unit {
    fn template(self) -> &'static str {
        match self {
            Self::Steps => "{msg} [{bar:32}] step {pos}/{len}, {eta} left",
            Self::Parts => "{msg} [{bar:32}] {percent}%, {eta} left",
            Self::Bytes => "{msg} [{bar:32}] {bytes}/{total_bytes}, {eta} left",
        }
    }
}
