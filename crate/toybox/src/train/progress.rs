//! How far a stage of the training is: when it ends, what it reports, when it is saved.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use burn::tensor::Tensor;

use super::{
    checkpoint::{Counters, values},
    curve,
    optimizer::StepOptions,
    recipe::Stage,
};

/// Steps between two points of the curve.
const REPORT: u64 = 20;
/// From one checkpoint to the next.
const SAVE: Duration = Duration::from_secs(60);

/// Whether the training was asked to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Asks the training of this process to save and end; false if it was asked before.
pub fn interrupt() -> bool {
    !INTERRUPTED.swap(true, Ordering::Relaxed)
}

/// When a stage ends, beside its pictures.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Of this process.
    pub minutes: f64,
    /// Whether the learning rate falls to its end with the minutes, however many pictures they suffice for.
    pub anneals: bool,
}

impl Limit {
    /// How far the learning rate is, 0 to 1: as far as the pictures, `before` this process and `now`, or as the minutes where
    /// it falls with them, of which so much is `used`.
    pub fn progress(self, before: f64, now: f64, used: f64) -> f64 {
        let of_time = if self.anneals { before + (1.0 - before) * used.min(1.0) } else { 0.0 };
        now.max(of_time)
    }
}

/// One stage's progress in this process.
pub struct Progress {
    /// Over all processes that worked on the run.
    pub counters: Counters,
    name: &'static str,
    folder: PathBuf,
    limit: Limit,
    start: Instant,
    before: Counters,
    saved: Instant,
    /// Of the last step.
    rate: f64,
    /// Of the steps since the last report, by kind of sample. They stay on the device till then: a GPU that is asked for a
    /// number after every step stands still while the next one is prepared.
    losses: Vec<(&'static str, Tensor<1>)>,
}

impl Progress {
    /// Of the stage `name`, whose files lie in `folder`, from where `counters` say it stands.
    pub fn new(name: &'static str, folder: PathBuf, counters: Counters, limit: Limit) -> Result<Self> {
        // What a killed process reported after its last checkpoint will be seen again.
        let log = folder.join(name).with_extension("csv");
        if log.exists() {
            curve::cut(&log, counters.pictures)?;
        }
        let start = Instant::now();
        Ok(Self { before: counters, counters, name, folder, limit, start, saved: start, rate: 0.0, losses: Vec::new() })
    }

    /// Whether there are pictures and minutes left, and nobody asked for an end.
    pub fn goes_on(&self, stage: &Stage) -> bool {
        self.counters.pictures < stage.pictures && self.used() < 1.0 && !INTERRUPTED.load(Ordering::Relaxed)
    }

    /// How much of this process's minutes is over.
    fn used(&self) -> f64 {
        self.start.elapsed().as_secs_f64() / (self.limit.minutes * 60.0)
    }

    /// The next step.
    pub fn options(&self, stage: &Stage, ema: f64) -> StepOptions {
        let pictures = self.counters.pictures;
        let [before, now] = [self.before.pictures, pictures].map(|pictures| stage.progress(pictures));
        stage.step(pictures, self.limit.progress(before, now, self.used()), ema)
    }

    /// Counts a step of samples of a `kind` with its `loss`, `[1]`; true if a checkpoint is due.
    ///
    /// # Errors
    ///
    /// If a loss since the last report is no number.
    pub fn step(&mut self, pictures: usize, kind: &'static str, loss: Tensor<1>, rate: f64) -> Result<bool> {
        self.losses.push((kind, loss));
        self.rate = rate;
        self.counters.pictures += pictures as u64;
        self.counters.steps += 1;
        self.counters.seconds = self.before.seconds + self.start.elapsed().as_secs_f64();
        if !self.counters.steps.is_multiple_of(REPORT) {
            return Ok(false);
        }
        self.report()?;
        // What is saved was reported before, so it is known to be finite.
        let is_due = self.saved.elapsed() >= SAVE;
        if is_due {
            self.saved = Instant::now();
            self.draw()?;
        }
        Ok(is_due)
    }

    fn report(&mut self) -> Result<()> {
        let (kinds, losses): (Vec<_>, Vec<_>) = std::mem::take(&mut self.losses).into_iter().unzip();
        let losses = values(Tensor::cat(losses, 0));
        let mut by_kind: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (kind, loss) in kinds.into_iter().zip(losses) {
            ensure!(loss.is_finite(), "{}: a loss is {loss}: lower its learning rate, and resume", self.name);
            by_kind.entry(kind).or_default().push(f64::from(loss));
        }
        let Counters { pictures, seconds, .. } = self.counters;
        let mut shown = Vec::new();
        for (kind, losses) in by_kind {
            let loss = losses.iter().sum::<f64>() / losses.len() as f64;
            curve::append(&self.file("csv"), curve::Point { pictures, kind, loss, rate: self.rate, seconds })?;
            shown.push(format!("{kind} {loss:.4}"));
        }
        println!("{}: {pictures} pictures, loss of {}, {seconds:.0} s", self.name, shown.join(", "));
        Ok(())
    }

    /// Ends the stage: what was not reported yet is checked and counted, and the curve drawn.
    ///
    /// # Errors
    ///
    /// As [`Self::step`].
    pub fn end(&mut self) -> Result<()> {
        if !self.losses.is_empty() {
            self.report()?;
        }
        self.draw()
    }

    /// Draws the curve.
    fn draw(&self) -> Result<()> {
        let csv = self.file("csv");
        // A run that was resumed after its end has nothing to add.
        if csv.exists() { curve::draw(&csv, &self.file("png")) } else { Ok(()) }
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(self.name).with_extension(ending)
    }
}
