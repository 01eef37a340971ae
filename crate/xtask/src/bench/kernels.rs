//! `--kernels`: the benchmarks of `crate/benches/kernels.rs`, as a table of what Criterion writes of each.
//!
//! ```text
//! GROUP/WHOSE, PLACE/SHAPE/new/benchmark.json    { group_id, function_id, value_str, throughput: { Elements } }
//! GROUP/WHOSE, PLACE/SHAPE/new/estimates.json    { median: { point_estimate } }, in nanoseconds
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::workspace::{self, Workspace};

/// Ours and Burn's nanoseconds, and the elements that they take so long for.
#[derive(Default)]
struct Pair {
    ours: Option<f64>,
    burns: Option<f64>,
    elements: f64,
}

/// By kernel, place and shape.
type Pairs = BTreeMap<[String; 3], Pair>;

/// Runs them, and prints the table.
pub fn run(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target_folder()?.join("criterion-kernels");
    // What was measured before, of shapes that are no more.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let mut bench = workspace.cargo(&["bench", "--bench", "kernels"]);
    workspace::run(bench.env("CRITERION_HOME", &folder))?;
    let mut pairs = Pairs::new();
    read(&folder, &mut pairs)?;
    ensure!(!pairs.is_empty(), "{}: no benchmark was written", folder.display());
    println!("\n{}", table(&pairs));
    Ok(())
}

/// All that a folder holds.
fn read(folder: &Path, pairs: &mut Pairs) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("new") {
            read(&path, pairs)?;
        } else if path.is_dir() {
            let [benchmark, estimates] = ["benchmark.json", "estimates.json"].map(|name| json(&path.join(name)));
            add(&benchmark?, &estimates?, pairs).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

fn json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn add(benchmark: &Value, estimates: &Value, pairs: &mut Pairs) -> Result<()> {
    let text = |name: &str| benchmark[name].as_str().with_context(|| format!("no {name}"));
    let (whose, place) = text("function_id")?.split_once(", ").context("function_id: no place")?;
    let key = [text("group_id")?, place, text("value_str")?].map(str::to_owned);
    let pair = pairs.entry(key).or_default();
    pair.elements = benchmark["throughput"]["Elements"].as_f64().context("no elements")?;
    let median = estimates["median"]["point_estimate"].as_f64().context("no median")?;
    *if whose == "ours" { &mut pair.ours } else { &mut pair.burns } = Some(median);
    Ok(())
}

fn table(pairs: &Pairs) -> String {
    let mut table = "| kernel | shape | where | ours, ms | 10⁹/s | Burn, ms | 10⁹/s | ratio |\n\
                     |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for ([kernel, place, shape], Pair { ours, burns, elements }) in pairs {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let times = [ours, burns].map(|time| or_none(time.map(|time| format!("{:.3}", time / 1e6))));
        let speeds = [ours, burns].map(|time| or_none(time.map(|time| format!("{:.1}", elements / time))));
        let ratio = or_none(ours.zip(*burns).map(|(ours, burns)| format!("{:.2}", ours / burns)));
        let [[ours, burns], [fast, slow]] = [times, speeds];
        table += &format!("| {kernel} | {shape} | {place} | {ours} | {fast} | {burns} | {slow} | {ratio} |\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ours_and_burns_stand_in_one_row() {
        let mut pairs = Pairs::new();
        for (whose, shape, nanoseconds) in [("ours", "nano", 2e6), ("Burn", "nano", 8e6), ("ours", "micro", 1e6)] {
            let benchmark = json!({ "group_id": "linear", "function_id": format!("{whose}, GPU"), "value_str": shape,
                "throughput": { "Elements": 40_000_000 } });
            add(&benchmark, &json!({ "median": { "point_estimate": nanoseconds } }), &mut pairs).unwrap();
        }
        let table = table(&pairs);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| linear | micro | GPU | 1.000 | 40.0 | – | – | – |",
                "| linear | nano | GPU | 2.000 | 20.0 | 8.000 | 5.0 | 0.25 |"
            ]
        );
        assert!(add(&json!({ "function_id": "ours" }), &json!({}), &mut pairs).is_err());
    }
}
