//! `flagdit check`: whether a model computes what a reference implementation computed, tensor by tensor.

use std::rc::Rc;

use flagdit::Device;
use flagdit::check::{Comparison, Reference, Report, check};
use flagdit::error::{Error, ErrorKind, Result};
use flagdit::weights::Reader;
use serde_json::json;

use crate::args::CheckArgs;
use crate::model;
use crate::terminal::Terminal;

pub fn run(args: &CheckArgs, terminal: &Terminal) -> Result<()> {
    let CheckArgs { tolerance, .. } = *args;
    if tolerance.is_nan() || tolerance < 0.0 {
        return Err(Error::bad_request("--tolerance").expected("a number of 0 or more").found(tolerance.to_string()));
    }
    let reference = Reference::open(&args.reference)?;
    let report = pollster::block_on(async {
        let reader = Reader::open(Rc::new(model::source(&args.model))).await?;
        let device = Device::parse(&args.device).await?;
        terminal.note(&format!("on {}", device.name()))?;
        check(&reader, &reference, args.component.as_deref(), &device).await
    })?;
    print(&report, tolerance, terminal)?;
    verdict(&report, tolerance)
}

fn print(report: &Report, tolerance: f64, terminal: &Terminal) -> Result<()> {
    if terminal.is_json() {
        let good = report.is_good(tolerance);
        let Report { comparisons, not_computed } = report;
        return terminal.event(&json!({
            "type": "check", "good": good, "tolerance": tolerance, "comparisons": comparisons, "notComputed": not_computed,
        }));
    }
    let longest = report.comparisons.iter().map(|comparison| comparison.name.len()).max().unwrap_or(0);
    terminal.note(&format!("{:<longest$}  largest   relative  cosine", "tensor"))?;
    for comparison in &report.comparisons {
        let Comparison { name, largest, relative, cosine } = comparison;
        let mark = if comparison.is_within(tolerance) { "" } else { "  too far" };
        terminal.note(&format!("{name:<longest$}  {largest:<8.1e}  {relative:<8.1e}  {cosine:.6}{mark}"))?;
    }
    report.not_computed.iter().try_for_each(|name| terminal.note(&format!("{name:<longest$}  not computed")))
}

/// A failure that says how many tensors are wrong, and names the worst.
fn verdict(report: &Report, tolerance: f64) -> Result<()> {
    if report.is_good(tolerance) {
        return Ok(());
    }
    let total = report.comparisons.len() + report.not_computed.len();
    let far = report.comparisons.iter().filter(|comparison| !comparison.is_within(tolerance)).count();
    let mut found = Vec::new();
    if let Some(worst) = report.worst().filter(|_| far > 0) {
        found.push(format!("{far} of {total} farther, {} most at {:.1e}", worst.name, worst.relative));
    }
    if let Some(first) = report.not_computed.first() {
        found.push(format!("{} of {total} that nothing computes, {first} first", report.not_computed.len()));
    }
    Err(Error::new(ErrorKind::CheckFailed, "check")
        .expected(format!("every tensor within a relative error of {tolerance:e}"))
        .found(found.join("; "))
        .remedy("a quantized model is compared with a larger --tolerance; f32 should be within 1e-3"))
}
