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
    /// Counts one verdict in, if there is one.
    pub(super) fn add(&mut self, verdict: Option<bool>) {
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
        let line = |name, row: &Row| {
            let Row { pictures, colour, shape, place, size, relation, count, background } = *row;
            (name, pictures, [colour, shape, place, size, relation, count, background])
        };
        let heads = ["pictures", "colour", "shape", "place", "size", "relation", "count", "background"];
        let lines = [line("all", &self.overall), line("one object", &self.single), line("held out", &self.held_out)];
        markdown(f, &heads, &lines)
    }
}

/// A line of a table: its name, how many were judged, and the tallies of the columns.
pub(super) type Line<const N: usize> = (&'static str, usize, [Tally; N]);

/// Writes tallies in percent, a column each; the heads begin with that of the number of judged ones.
pub(super) fn markdown<const N: usize>(f: &mut fmt::Formatter<'_>, heads: &[&str], lines: &[Line<N>]) -> fmt::Result {
    writeln!(f, "| captions | {} |", heads.join(" | "))?;
    writeln!(f, "|---|{}", "---|".repeat(heads.len()))?;
    for (name, judged, tallies) in lines {
        write!(f, "| {name} | {judged} |")?;
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
