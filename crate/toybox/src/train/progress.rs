//! How far a stage of the training is: when it ends, what it reports, when it is saved.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use anyhow::Result;

use super::{checkpoint::Counters, curve, recipe::Stage};

/// Steps between two points of the curve.
const REPORT: u64 = 20;
/// Steps between two checkpoints.
const SAVE: u64 = 200;

/// One stage's progress in this process.
pub struct Progress {
    /// Over all processes that worked on the run.
    pub counters: Counters,
    name: &'static str,
    folder: PathBuf,
    minutes: f64,
    start: Instant,
    before: f64,
    /// Since the last report, by kind of sample.
    losses: BTreeMap<&'static str, Vec<f64>>,
}

impl Progress {
    /// Of the stage `name`, whose files lie in `folder`, from where `counters` say it stands, for so many minutes.
    pub fn new(name: &'static str, folder: PathBuf, counters: Counters, minutes: f64) -> Result<Self> {
        // What a killed process reported after its last checkpoint will be seen again.
        let log = folder.join(name).with_extension("csv");
        if log.exists() {
            curve::cut(&log, counters.pictures)?;
        }
        Ok(Self {
            before: counters.seconds,
            counters,
            name,
            folder,
            minutes,
            start: Instant::now(),
            losses: BTreeMap::new(),
        })
    }

    /// Whether there are pictures and minutes left.
    pub fn goes_on(&self, stage: &Stage) -> bool {
        self.counters.pictures < stage.pictures && self.start.elapsed().as_secs_f64() < self.minutes * 60.0
    }

    /// Counts a step of samples of a `kind`; true if a checkpoint is due.
    pub fn step(&mut self, pictures: usize, kind: &'static str, loss: f64, rate: f64) -> Result<bool> {
        self.losses.entry(kind).or_default().push(loss);
        self.counters.pictures += pictures as u64;
        self.counters.steps += 1;
        self.counters.seconds = self.before + self.start.elapsed().as_secs_f64();
        if self.counters.steps.is_multiple_of(REPORT) {
            let Counters { pictures, seconds, .. } = self.counters;
            let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
            let by_kind: Vec<(&str, f64)> = self.losses.iter().map(|(kind, losses)| (*kind, mean(losses))).collect();
            self.losses.clear();
            for &(kind, loss) in &by_kind {
                curve::append(&self.file("csv"), curve::Point { pictures, kind, loss, rate, seconds })?;
            }
            let shown: Vec<String> = by_kind.iter().map(|(kind, loss)| format!("{kind} {loss:.4}")).collect();
            println!("{}: {pictures} pictures, loss of {}, {seconds:.0} s", self.name, shown.join(", "));
        }
        let is_due = self.counters.steps.is_multiple_of(SAVE);
        if is_due {
            self.draw()?;
        }
        Ok(is_due)
    }

    /// Draws the curve.
    pub fn draw(&self) -> Result<()> {
        let csv = self.file("csv");
        // A run that was resumed after its end has nothing to add.
        if csv.exists() { curve::draw(&csv, &self.file("png")) } else { Ok(()) }
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(self.name).with_extension(ending)
    }
}
