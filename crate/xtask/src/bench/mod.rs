//! `cargo xtask bench`: the same measurement natively and in the browser, on the CPU and on the GPU that is found; with
//! `--peers` in turn with what a user would run instead. What comes of it goes into the README, between its markers.

mod kernels;
mod ours;
mod peers;
mod readme;
mod runs;
mod stock;
mod table;

use std::path::PathBuf;

use anyhow::Result;

use crate::web;
use crate::workspace::{self, Workspace};
use ours::{Ours, Place, Work};

/// Steps on a GPU, which may be one that the CPU imitates; on the CPU they are the model's own.
const GPU_STEPS: usize = 2;

#[derive(clap::Args)]
pub struct Args {
    /// Peers' scripts (run.sh, py/, web/), which run the same denoiser with the same weights in other runtimes
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
    /// Where the peers' weights, models and results go; target/peers if absent
    #[arg(long, value_name = "DIR", requires = "peers")]
    out: Option<PathBuf>,
    /// Which of the peers' models
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_value = "nano,micro", requires = "peers")]
    models: Vec<String>,
    /// Which paths; what was measured of the others stays in the table
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "PATHS",
        requires = "peers",
        default_value = "native,web-cpu,web-gpu"
    )]
    paths: Vec<peers::Path>,
    /// How often each side is run in turn; the medians count. WebGPU is run once
    #[arg(long, value_name = "N", default_value_t = 3, requires = "peers")]
    rounds: usize,
    /// The browser's adapter, as Chromium's --use-webgpu-adapter names it
    #[arg(long, value_name = "NAME", default_value = "swiftshader")]
    adapter: String,
    /// Kernels alone, beside Burn's operations: prints a table of `cargo bench --bench kernels`
    #[arg(long, conflicts_with = "peers")]
    kernels: bool,
    /// A call of these models' denoisers beside the same by Burn's own operations, in the browser by an engine that is built
    /// for it: prints a table
    #[arg(long, value_delimiter = ',', value_name = "DIRS", conflicts_with_all = ["peers", "kernels"])]
    stock: Vec<PathBuf>,
    /// The picture of such a call, in pixels
    #[arg(long, value_name = "WxH", requires = "stock", default_value = "256x256")]
    size: String,
    /// Take program, package and engines as they were built before
    #[arg(long)]
    built: bool,
}

/// Builds what is measured, measures, and writes the README's table.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.kernels {
        return kernels::run(workspace);
    }
    if !args.built {
        workspace::run(&mut workspace.cargo(&["build", "--release"]))?;
        web::run(workspace)?;
    }
    let ours = Ours::new(workspace, &args.adapter)?;
    if !args.stock.is_empty() {
        return stock::run(workspace, &ours, &args.stock, &args.size, args.built);
    }
    match &args.peers {
        None => readme::write(workspace, "bench", &table::ours(&everywhere(workspace, &ours)?)),
        Some(scripts) => peers::run(workspace, &ours, scripts, args),
    }
}

/// The model that ships in all four places, with the name of each.
fn everywhere(workspace: &Workspace, ours: &Ours) -> Result<Vec<(&'static str, serde_json::Value)>> {
    let places = [
        ("native, CPU", Place::NativeCpu),
        ("native, GPU", Place::NativeGpu),
        ("browser, CPU", Place::WebCpu),
        ("browser, WebGPU", Place::WebGpu),
    ];
    let mut reports = Vec::new();
    for (name, place) in places {
        let steps = place.is_gpu().then_some(GPU_STEPS);
        let work = Work::Picture { steps };
        match ours.measure(&workspace.root.join("weights-quantized/toybox"), &work, place) {
            Ok(report) => reports.push((name, report)),
            // A machine without an adapter is measured as far as it goes.
            Err(error) if place == Place::NativeGpu => println!("{name}: {error:#}"),
            Err(error) => return Err(error),
        }
    }
    Ok(reports)
}
