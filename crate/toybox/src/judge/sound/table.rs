//! Adds verdicts up.

use std::fmt;

use serde::Serialize;

use super::{SoundExpectation, SoundVerdict};
use crate::judge::table::Tally;

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
        let rights = [timbre, pitch, pattern, timbre && pitch && pattern];
        for (tally, right) in
            [&mut self.timbre, &mut self.pitch, &mut self.pattern, &mut self.all].into_iter().zip(rights)
        {
            tally.right += usize::from(right);
            tally.total += 1;
        }
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
        writeln!(f, "| captions | sounds | timbre | pitch | pattern | all three |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for (name, row) in [("all", &self.overall), ("trained", &self.trained), ("held out", &self.held_out)] {
            write!(f, "| {name} | {} |", row.all.total)?;
            for tally in [row.timbre, row.pitch, row.pattern, row.all] {
                match tally.percent() {
                    Some(percent) => write!(f, " {percent:.1} % |")?,
                    None => write!(f, " – |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
