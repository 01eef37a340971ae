//! Adds verdicts up.

use std::fmt;

use serde::Serialize;

use super::{ViewsExpectation, ViewsVerdict};

/// How often something came out right.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tally {
    pub right: usize,
    pub total: usize,
}

impl Tally {
    fn add(&mut self, verdict: Option<bool>) {
        self.right += usize::from(verdict == Some(true));
        self.total += usize::from(verdict.is_some());
    }

    /// In percent; nothing if it was never asked for.
    pub fn percent(self) -> Option<f64> {
        (self.total > 0).then(|| 100.0 * self.right as f64 / self.total as f64)
    }
}

/// The tallies of many sets of views, attribute by attribute.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ViewsRow {
    pub sets: usize,
    pub colour: Tally,
    pub solid: Tally,
    pub material: Tally,
    pub same_object: Tally,
    pub azimuths: Tally,
}

impl ViewsRow {
    fn add(&mut self, verdict: &ViewsVerdict) {
        self.sets += 1;
        self.colour.add(Some(verdict.colour));
        self.solid.add(Some(verdict.solid));
        self.material.add(verdict.material);
        self.same_object.add(Some(verdict.same_object));
        self.azimuths.add(Some(verdict.azimuths));
    }

    /// In the order of the columns.
    pub(super) fn tallies(&self) -> [Tally; 5] {
        [self.colour, self.solid, self.material, self.same_object, self.azimuths]
    }
}

/// All captions, and those of combinations that were never trained on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ViewsTable {
    pub overall: ViewsRow,
    pub held_out: ViewsRow,
}

impl ViewsTable {
    /// Counts one set of views in.
    pub fn add(&mut self, expectation: &ViewsExpectation, verdict: &ViewsVerdict) {
        self.overall.add(verdict);
        if expectation.held_out {
            self.held_out.add(verdict);
        }
    }
}

/// A markdown table in percent.
impl fmt::Display for ViewsTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| captions | sets of views | colour | solid | material | same object | azimuths |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (name, row) in [("all", &self.overall), ("held out", &self.held_out)] {
            write!(f, "| {name} | {} |", row.sets)?;
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
