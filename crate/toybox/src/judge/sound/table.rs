//! Adds verdicts up.

use std::fmt;

use serde::Serialize;

use super::{SoundExpectation, SoundVerdict};
use crate::judge::table::{Tally, markdown};

/// The tallies of a set of sounds, attribute by attribute.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    pub timbre: Tally,
    pub pitch: Tally,
    pub pattern: Tally,
    /// All three at once.
    pub all: Tally,
}

impl Row {
    fn add(&mut self, verdict: &SoundVerdict) {
        let SoundVerdict { timbre, pitch, pattern } = *verdict;
        self.timbre.add(Some(timbre));
        self.pitch.add(Some(pitch));
        self.pattern.add(Some(pattern));
        self.all.add(Some(timbre && pitch && pattern));
    }
}

/// All sounds, and the parts of them that the bars are about.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SoundTable {
    pub overall: Row,
    /// Combinations that were trained on.
    pub trained: Row,
    /// Combinations that were never trained on.
    pub held_out: Row,
}

impl SoundTable {
    /// Counts one sound in.
    pub fn add(&mut self, expectation: &SoundExpectation, verdict: &SoundVerdict) {
        self.overall.add(verdict);
        if expectation.held_out { self.held_out.add(verdict) } else { self.trained.add(verdict) }
    }
}

/// A markdown table in percent.
impl fmt::Display for SoundTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |name, row: &Row| (name, row.all.total, [row.timbre, row.pitch, row.pattern, row.all]);
        let lines = [line("all", &self.overall), line("trained", &self.trained), line("held out", &self.held_out)];
        markdown(f, &["sounds", "timbre", "pitch", "pattern", "all three"], &lines)
    }
}
