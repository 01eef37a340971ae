//! Adds verdicts up.

use std::fmt;

use serde::Serialize;

use super::{Verdict, VideoExpectation};
use crate::judge::table::Tally;

/// The tallies of a set of clips, attribute by attribute.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    pub clips: usize,
    pub colour: Tally,
    pub shape: Tally,
    pub motion: Tally,
    pub direction: Tally,
    pub background: Tally,
}

impl Row {
    fn add(&mut self, verdict: &Verdict) {
        self.clips += 1;
        for (tally, verdict) in [
            (&mut self.colour, verdict.colour),
            (&mut self.shape, verdict.shape),
            (&mut self.motion, verdict.motion),
            (&mut self.direction, verdict.direction),
            (&mut self.background, verdict.background),
        ] {
            tally.right += usize::from(verdict == Some(true));
            tally.total += usize::from(verdict.is_some());
        }
    }

    pub(super) fn tallies(&self) -> [Tally; 5] {
        [self.colour, self.shape, self.motion, self.direction, self.background]
    }
}

/// All clips, and parts of them that say where a model is weak.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    pub overall: Row,
    /// What moves straight and does nothing else.
    pub moves: Row,
    /// What moves and spins.
    pub moves_and_spins: Row,
    /// Every other motion.
    pub others: Row,
    /// Combinations that were never trained on.
    pub held_out: Row,
}

impl Table {
    /// Counts one clip in.
    pub fn add(&mut self, expectation: &VideoExpectation, verdict: &Verdict) {
        self.overall.add(verdict);
        let part = match (&expectation.direction, expectation.motions.len()) {
            (None, _) => &mut self.others,
            (Some(_), 1) => &mut self.moves,
            (Some(_), _) => &mut self.moves_and_spins,
        };
        part.add(verdict);
        if expectation.held_out {
            self.held_out.add(verdict);
        }
    }
}

/// A markdown table in percent.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| captions | clips | colour | shape | motion | direction | background |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (name, row) in [
            ("all", &self.overall),
            ("moves", &self.moves),
            ("moves and spins", &self.moves_and_spins),
            ("other motions", &self.others),
            ("held out", &self.held_out),
        ] {
            write!(f, "| {name} | {} |", row.clips)?;
            for tally in row.tallies() {
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
