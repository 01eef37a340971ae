//! `--stock`: one call of the denoiser by our kernels beside the same by Burn's own operations, natively and in one tab.
//!
//! Browsers' engines hold none of Burn's GPU kernels for products, so the tab gets a package with an engine of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::ours::Ours;
use crate::web;
use crate::workspace::Workspace;

/// What the engine is made of.
const FEATURES: &str = "web,gpu,stock";

/// Measures the models and prints a table.
pub fn run(workspace: &Workspace, ours: &Ours, models: &[PathBuf], size: &str, is_built: bool) -> Result<()> {
    let package = workspace.target_folder()?.join("stock-package");
    if !(is_built && package.exists()) {
        web::copy_folder(&workspace.root.join("web/dist"), &package)?;
        web::engine(workspace, FEATURES, &package.join("engine/gpu"))?;
    }
    let mut table = "| denoiser, batch 2 | adapter | ours | at best | Burn | at best | ratio |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_owned();
    for model in models {
        let mut places = Vec::new();
        for (name, device) in [("native, CPU", "cpu"), ("native, GPU", "gpu")] {
            places.push((name, natively(ours, model, size, device)?));
        }
        places.push(("browser, WebGPU", in_one_tab(ours, model, size, &package)?));
        for (name, reports) in places {
            table += &row(name, &reports).with_context(|| format!("{}: a report without times", model.display()))?;
        }
    }
    println!("\n{table}");
    Ok(())
}

fn natively(ours: &Ours, model: &Path, size: &str, device: &str) -> Result<[Value; 2]> {
    let model = model.display().to_string();
    let arguments = ["bench", "--denoiser", "--size", size, "--device", device, "--model", &model];
    Ok([ours.program(&arguments)?, ours.program(&[&arguments[..], &["--stock"]].concat())?])
}

fn in_one_tab(ours: &Ours, model: &Path, size: &str, package: &Path) -> Result<[Value; 2]> {
    let (width, height) = size.split_once('x').context("size: expected WIDTHxHEIGHT")?;
    let [width, height] = [width, height].map(str::parse::<usize>);
    let denoiser = json!({ "width": width?, "height": height? });
    let options = [false, true].map(|stock| json!({ "device": "gpu", "denoiser": denoiser, "stock": stock }));
    let mut reports = ours.in_one_tab(model, &json!(options), Some(package))?;
    Ok([reports[0].take(), reports[1].take()])
}

fn row(place: &str, reports: &[Value; 2]) -> Option<String> {
    let [ours, burns] =
        reports.each_ref().map(|report| Some([report["stepMs"].as_f64()?, report["leastStepMs"].as_f64()?]));
    let (ours, burns) = (ours?, burns?);
    let report = &reports[0];
    Some(format!(
        "| {}, {} tokens, {place} | {} | {:.1} ms | {:.1} | {:.1} ms | {:.1} | {:.2} ({:.2}) |\n",
        report["model"].as_str()?,
        report["tokens"],
        report["adapter"]["name"].as_str()?,
        ours[0],
        ours[1],
        burns[0],
        burns[1],
        ours[0] / burns[0],
        ours[1] / burns[1],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_what_is_left_of_burns_time() {
        let report = |median: f64, least: f64| json!({ "model": "nano", "tokens": 72, "adapter": { "name": "a GPU" }, "stepMs": median, "leastStepMs": least });
        let row = row("native, GPU", &[report(20.0, 10.0), report(80.0, 50.0)]);
        assert_eq!(
            row.as_deref(),
            Some("| nano, 72 tokens, native, GPU | a GPU | 20.0 ms | 10.0 | 80.0 ms | 50.0 | 0.25 (0.20) |\n")
        );
        assert!(super::row("native, GPU", &[report(1.0, 1.0), json!({})]).is_none());
    }
}
