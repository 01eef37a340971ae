//! Adds verdicts up.

use std::fmt;

use serde::Serialize;

use super::{ViewsExpectation, ViewsVerdict, hull::Hulls};
use crate::judge::table::{Tally, markdown};

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
    /// What was carved out of the views.
    pub hulls: Hulls,
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
        let line = |name, row: &ViewsRow| (name, row.sets, row.tallies());
        let heads = ["sets of views", "colour", "solid", "material", "same object", "azimuths"];
        markdown(f, &heads, &[line("all", &self.overall), line("held out", &self.held_out)])?;
        write!(f, "\n{}", self.hulls)
    }
}
