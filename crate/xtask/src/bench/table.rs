//! Reports as tables in Markdown.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::peers::Path;

/// The name of our side in what was measured in turn.
const OURS: &str = "flagdit";

/// One row a place.
pub fn ours(reports: &[(&str, Value)]) -> String {
    let mut table =
        "| the model that ships, a picture of its native size | adapter | a step | at best | GFLOP/s | whole | memory |\n\
         |---|---|---|---|---|---|---|\n"
            .to_owned();
    for (name, report) in reports {
        let adapter = &report["adapter"];
        let software = if adapter["isSoftware"] == true { ", software" } else { "" };
        let mebibytes =
            |name: &str| report[name].as_f64().map(|bytes| format!("{:.0} MiB", bytes / f64::from(1 << 20)));
        let memory = match (mebibytes("peakMemoryBytes"), mebibytes("deviceMemoryBytes")) {
            (Some(process), Some(device)) => format!("{process}, {device} of the GPU's"),
            (Some(process), None) => process,
            _ => "–".to_owned(),
        };
        table += &format!(
            "| {name}, {} steps of {} | {} ({}{software}) | {} | {} | {} | {} | {memory} |\n",
            report["steps"],
            text(&report["solver"]),
            text(&adapter["name"]),
            text(&adapter["backend"]),
            milliseconds(&report["stepMs"]),
            milliseconds(&report["leastStepMs"]),
            number(report["gflops"].as_f64()),
            milliseconds(&report["generationMs"]),
        );
    }
    table
}

/// One row a peer, model and path: ours and theirs in both formats, and what is left of their time. Beside our q4 stands what
/// a user would run there who has no q4: the peer's f32.
pub fn peers(all: &Value) -> Result<String> {
    let mut table =
        "| denoiser, batch 2 | against | ours, q4 | theirs, q4 | ratio | ours, f32 | theirs, f32 | ratio |\n\
                     |---|---|---|---|---|---|---|---|\n"
            .to_owned();
    let mut turns: Vec<&Value> = all.as_object().context("no results")?.values().collect();
    turns.sort_by_key(|turn| {
        (turn["tokens"].as_u64(), Path::ALL.map(Path::name).iter().position(|name| turn["path"] == *name))
    });
    for turn in turns {
        let times = turn["ms"].as_object().context("a result without times")?;
        let ours = &turn["ms"][OURS];
        for (peer, theirs) in times.iter().filter(|(who, _)| *who != OURS) {
            let mut cells = pair(&ours["q4"], &theirs["q4"]).to_vec();
            if theirs["q4"].is_null() {
                let [_, of_f32, ratio] = pair(&ours["q4"], &theirs["f32"]);
                cells[1..].clone_from_slice(&[format!("{of_f32} in f32"), ratio]);
            }
            cells.extend(pair(&ours["f32"], &theirs["f32"]));
            let [model, path, adapter] = ["model", "path", "adapter"].map(|name| text(&turn[name]));
            let place = format!("{model}, {} tokens, {path} ({adapter})", turn["tokens"]);
            table += &format!("| {place} | {peer} | {} |\n", cells.join(" | "));
        }
    }
    Ok(table)
}

/// Ours, theirs and the ratio, of medians and of the shortest steps, which other programs disturb the least.
fn pair(ours: &Value, theirs: &Value) -> [String; 3] {
    let of = |times: &Value| Some([times[0].as_f64()?, times[1].as_f64()?]);
    let nothing = || "–".to_owned();
    let cell = |times: Option<[f64; 2]>| {
        times.map_or_else(nothing, |[median, least]| format!("{} ms ({})", number(Some(median)), number(Some(least))))
    };
    let (ours, theirs) = (of(ours), of(theirs));
    let ratio =
        ours.zip(theirs).map(|(ours, theirs)| format!("{:.2} ({:.2})", ours[0] / theirs[0], ours[1] / theirs[1]));
    [cell(ours), cell(theirs), ratio.unwrap_or_else(nothing)]
}

fn milliseconds(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |ms| format!("{} ms", number(Some(ms))))
}

/// Three digits or all that stand before the point.
fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("–")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_peer_without_q4_stands_there_with_its_f32() {
        let turn = json!({ "model": "nano", "path": "native, CPU", "adapter": "a CPU", "tokens": 72,
            "ms": { "flagdit": { "q4": [15.0, 14.0], "f32": [16.0, 15.0] }, "PyTorch": { "f32": [64.0, 30.0] } } });
        let table = peers(&json!({ "a": turn })).unwrap();
        let row = table.lines().last().unwrap();
        assert_eq!(
            row,
            "| nano, 72 tokens, native, CPU (a CPU) | PyTorch | 15.0 ms (14.0) | 64.0 ms (30.0) in f32 | 0.23 (0.47) | 16.0 ms (15.0) | 64.0 ms (30.0) | 0.25 (0.50) |"
        );
    }

    #[test]
    fn what_a_place_does_not_tell_is_left_out() {
        let adapter = json!({ "name": "a GPU", "backend": "vulkan", "isSoftware": true });
        let report = json!({ "adapter": adapter, "steps": 2, "solver": "midpoint", "stepMs": 345.6, "leastStepMs": 12.34,
            "gflops": 1.5, "generationMs": 700, "peakMemoryBytes": 3 << 20, "deviceMemoryBytes": null });
        let table = ours(&[("native, GPU", report)]);
        let row = table.lines().last().unwrap();
        assert_eq!(
            row,
            "| native, GPU, 2 steps of midpoint | a GPU (vulkan, software) | 346 ms | 12.3 ms | 1.5 | 700 ms | 3 MiB |"
        );
    }
}
