//! Adds verdicts up.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{Verdict, VideoExpectation, VideoMeasurement, score};
use crate::judge::table::{Tally, markdown};

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
        self.colour.add(verdict.colour);
        self.shape.add(verdict.shape);
        self.motion.add(verdict.motion);
        self.direction.add(verdict.direction);
        self.background.add(verdict.background);
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
    /// What was asked for → what was seen → how often.
    pub motions: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Table {
    /// Counts one clip in.
    pub fn add(&mut self, expectation: &VideoExpectation, measurement: &VideoMeasurement) {
        let verdict = &score(measurement, expectation);
        let seen = self.motions.entry(expectation.motions.join(" and ")).or_default();
        *seen.entry(measurement.motions.join(" and ")).or_default() += 1;
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
        let line = |name, row: &Row| (name, row.clips, row.tallies());
        let lines = [
            line("all", &self.overall),
            line("moves", &self.moves),
            line("moves and spins", &self.moves_and_spins),
            line("other motions", &self.others),
            line("held out", &self.held_out),
        ];
        markdown(f, &["clips", "colour", "shape", "motion", "direction", "background"], &lines)?;
        self.motions.iter().try_for_each(|(wanted, seen)| {
            let seen: Vec<String> = seen.iter().map(|(name, count)| format!("{count} {name}")).collect();
            writeln!(f, "{wanted}: {}", seen.join(", "))
        })
    }
}
