//! Adds verdicts up.

use std::fmt;

use serde::Serialize;

use super::{Expectation, Verdict};

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

/// The tallies of a set of pictures, attribute by attribute.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    pub pictures: usize,
    pub colour: Tally,
    pub shape: Tally,
    pub place: Tally,
    pub size: Tally,
    pub relation: Tally,
    pub count: Tally,
    pub background: Tally,
}

impl Row {
    fn add(&mut self, verdict: &Verdict) {
        self.pictures += 1;
        self.colour.add(verdict.colour);
        self.shape.add(verdict.shape);
        self.place.add(verdict.place);
        self.size.add(verdict.size);
        self.relation.add(verdict.relation);
        self.count.add(verdict.count);
        self.background.add(verdict.background);
    }
}

/// All pictures, and the parts of them that the bars are about.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    pub overall: Row,
    /// Captions that name one object.
    pub single: Row,
    /// Combinations that were never trained on.
    pub held_out: Row,
}

impl Table {
    /// Counts one picture in.
    pub fn add(&mut self, expectation: &Expectation, verdict: &Verdict) {
        self.overall.add(verdict);
        if expectation.objects.len() == 1 {
            self.single.add(verdict);
        }
        if expectation.held_out {
            self.held_out.add(verdict);
        }
    }
}

/// A markdown table in percent.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| captions | pictures | colour | shape | place | size | relation | count | background |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for (name, row) in [("all", &self.overall), ("one object", &self.single), ("held out", &self.held_out)] {
            write!(f, "| {name} | {} |", row.pictures)?;
            let tallies = [row.colour, row.shape, row.place, row.size, row.relation, row.count, row.background];
            for tally in tallies {
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
