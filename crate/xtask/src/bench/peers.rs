//! The same denoiser with the same weights in the runtimes that a user would take instead, in turn with ours.
//!
//! The peers are a folder of scripts, which is copied and never written to: `run.sh setup|make|native`, `web/cases.mjs` and
//! `web/drive.mjs`. `make` leaves checkpoints with Lumina's names, which are converted, and PyTorch's output for given
//! inputs, with which ours is compared before anything is timed.

use std::fs;
use std::path::{self, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::ours::{Ours, Place, Work};
use super::runs::{Best, Runs, Times};
use super::{Args, readme, table};
use crate::web;
use crate::workspace::{self, Workspace};

/// Formats that both sides have, and the relative error that each may have: four bits of random weights (the peers' are 9 %
/// off), and f32 sums in another order, through all blocks.
const FORMATS: [(&str, &str); 2] = [("q4", "0.2"), ("f32", "1e-4")];
/// Pixels that the autoencoder of Lumina makes of a latent one, along each side.
const FACTOR: usize = 8;
/// What the peers call the times of their steps.
const THEIRS: [&str; 2] = ["step_ms", "step_min_ms"];
/// Builds of onnxruntime-web that are compared: the others fail or are slower (`cases.mjs variants`).
const BUILDS: [&str; 2] = ["webgpu (jspi build)", "wasm 1 thread"];

/// Where both sides run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Path {
    Native,
    WebCpu,
    WebGpu,
}

impl Path {
    /// In the order of the table.
    pub const ALL: [Self; 3] = [Self::Native, Self::WebCpu, Self::WebGpu];

    fn place(self) -> Place {
        match self {
            Self::Native => Place::NativeCpu,
            Self::WebCpu => Place::WebCpu,
            Self::WebGpu => Place::WebGpu,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native, CPU",
            Self::WebCpu => "browser, CPU",
            Self::WebGpu => "browser, WebGPU",
        }
    }
}

/// The peers' folder at work.
struct Peers<'a> {
    ours: &'a Ours<'a>,
    /// A copy of the scripts.
    scripts: PathBuf,
    out: PathBuf,
}

/// Runs both sides and writes the README's table.
pub fn run(workspace: &Workspace, ours: &Ours, scripts: &path::Path, args: &Args) -> Result<()> {
    let out = args.out.clone().map_or_else(|| Ok(workspace.target_folder()?.join("peers")), Ok::<_, anyhow::Error>)?;
    fs::create_dir_all(&out)?;
    let out = out.canonicalize()?;
    let peers = Peers { ours, scripts: out.join("scripts"), out };
    peers.prepare(scripts, &args.models)?;
    let results = peers.out.join("turns.json");
    let mut all: Value = match fs::read_to_string(&results) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => json!({}),
    };
    for model in &args.models {
        peers.compare(model)?;
        for &path in &args.paths {
            let rounds = if path == Path::WebGpu { 1 } else { args.rounds };
            all[format!("{model}: {}", path.name())] = peers.in_turn(model, path, rounds)?;
            fs::write(&results, serde_json::to_string_pretty(&all)?)?;
        }
    }
    readme::write(workspace, "peers", &table::peers(&all)?)
}

impl Peers<'_> {
    /// What the scripts need, their models, and ours of the same weights.
    fn prepare(&self, scripts: &path::Path, models: &[String]) -> Result<()> {
        web::copy_folder_but(scripts, &self.scripts, &["node_modules", "venv", "out"])?;
        workspace::run(self.run_sh("setup").args(models))?;
        let missing: Vec<_> =
            models.iter().filter(|model| !self.out.join(model).join("v_torch.bin").exists()).collect();
        if !missing.is_empty() {
            workspace::run(self.run_sh("make").args(missing))?;
        }
        for model in models {
            for (format, _) in FORMATS {
                let (source, target) = (self.out.join(model).join("model.safetensors"), self.model(model, format));
                if !target.exists() {
                    let mut convert = Command::new(&self.ours.program);
                    convert.arg("convert").arg(source).arg("-o").arg(target);
                    workspace::run(convert.args(["--component", "denoiser", "--quant", format, "--quiet"]))?;
                }
            }
        }
        Ok(())
    }

    fn run_sh(&self, stage: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg(self.scripts.join("run.sh")).arg(stage).env("PEER_OUT", &self.out);
        command
    }

    fn model(&self, model: &str, format: &str) -> PathBuf {
        self.out.join(model).join(format!("flagdit-{format}"))
    }

    /// Whether ours computes what PyTorch computed of the same inputs.
    fn compare(&self, model: &str) -> Result<()> {
        let reference = self.out.join(model).join("reference");
        fs::create_dir_all(&reference)?;
        fs::write(reference.join("config.json"), "{}")?;
        fs::write(reference.join("io.safetensors"), self.reference(model)?)?;
        for (format, tolerance) in FORMATS {
            let [of, with] = [self.model(model, format), reference.clone()].map(|path| path.display().to_string());
            let report = self.ours.program(&["check", &of, &with, "--device", "cpu", "--tolerance", tolerance])?;
            let output = &report["comparisons"][0];
            ensure!(output["name"] == "out_forward" && report["good"] == true, "{model}, {format}: {report}");
            println!("{model}, {format}: as PyTorch's, relative error {}", output["relative"]);
        }
        Ok(())
    }

    /// Inputs and PyTorch's output as one safetensors file, by the names that `flagdit check` knows.
    fn reference(&self, model: &str) -> Result<Vec<u8>> {
        let folder = self.out.join(model);
        let shapes = self.json(&format!("{model}/io.json"))?;
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (theirs, ours) in
            [("x", "x"), ("t", "t"), ("cap_feats", "cap_feats"), ("cap_mask", "cap_mask"), ("v_torch", "out_forward")]
        {
            let bytes =
                fs::read(folder.join(format!("{theirs}.bin"))).with_context(|| format!("{model}/{theirs}.bin"))?;
            let (shape, begin) = (&shapes["tensors"][theirs], data.len());
            data.extend(bytes);
            header.insert(
                ours.to_owned(),
                json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] }),
            );
        }
        let header = Value::Object(header).to_string();
        Ok([&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat())
    }

    /// Ours, theirs, ours, theirs …: what else the machine does meets both.
    fn in_turn(&self, model: &str, path: Path, rounds: usize) -> Result<Value> {
        let config = self.json(&format!("{model}/config.json"))?;
        let number = |name: &str| {
            config[name].as_u64().map(|number| number as usize).with_context(|| format!("{model}: {name}"))
        };
        let (width, height) = (number("latent_w")? * FACTOR, number("latent_h")? * FACTOR);
        let work = Work::Denoiser { width, height, caption_tokens: number("text_tokens")? };
        let mut runs = Runs::default();
        let mut adapter = Value::Null;
        for round in 1..=rounds {
            println!("\n=== {model}: {}, round {round} of {rounds} ===", path.name());
            for (format, _) in FORMATS {
                let report = self.ours.measure(&self.model(model, format), &work, path.place())?;
                let times = Times::read(&report, ["stepMs", "leastStepMs"]);
                runs.add("flagdit", format, times.with_context(|| format!("no times: {report}"))?);
                adapter = report["adapter"]["name"].clone();
            }
            match path {
                Path::Native => self.native(model, &mut runs)?,
                Path::WebCpu => self.browser(model, "wasm", &mut runs)?,
                Path::WebGpu => self.browser(model, "webgpu", &mut runs)?,
            }
        }
        Ok(
            json!({ "model": model, "path": path.name(), "tokens": config["tokens"], "adapter": adapter, "rounds": rounds, "ms": runs.summary() }),
        )
    }

    /// onnxruntime and PyTorch.
    fn native(&self, model: &str, runs: &mut Runs) -> Result<()> {
        workspace::run(self.run_sh("native").arg(model))?;
        let rows = self.json("native.json")?;
        let mut best = Best::default();
        for row in rows.as_array().into_iter().flatten().filter(|row| row["cfg"] == model) {
            let off = ["max_abs_vs_torch_dequantized", "max_abs_vs_torch"].map(|name| row[name].as_f64());
            best.add(text(&row["peer"]), text(&row["model"]), Times::read(row, THEIRS), off);
        }
        best.tell(runs)
    }

    /// onnxruntime-web on one of its execution providers, in one thread, as ours is.
    fn browser(&self, model: &str, provider: &str, runs: &mut Runs) -> Result<()> {
        let script = |name: &str| self.scripts.join("web").join(name);
        let mut cases: Vec<Value> = Vec::new();
        for set in ["main", "variants"] {
            let list = workspace::output(Command::new("node").arg(script("cases.mjs")).args([set, model]))?;
            cases.extend(serde_json::from_str::<Vec<Value>>(&list)?);
        }
        cases.retain(|case| case["q"]["ep"] == provider && BUILDS.contains(&text(&case["note"])));
        let list = self.out.join("turn.json");
        fs::write(&list, serde_json::to_string(&cases)?)?;
        let mut drive = Command::new("node");
        drive.arg(script("drive.mjs")).arg(&list).arg(&self.out);
        drive.env("PEER_CHROMIUM", &self.ours.chromium).env("PEER_ADAPTER", self.ours.adapter);
        let results: Vec<Value> = serde_json::from_str(&workspace::output(&mut drive)?)?;
        let mut best = Best::default();
        for (case, result) in results.iter().map(|case| (case, &case["result"])) {
            let off = ["vs_torch_dequantized", "vs_torch_fp32"].map(|name| result[name]["max_abs"].as_f64());
            let name = format!("onnxruntime-web, {}", text(&case["note"]));
            best.add(&name, text(&case["q"]["model"]), Times::read(result, THEIRS), off);
        }
        best.tell(runs)
    }

    fn json(&self, file: &str) -> Result<Value> {
        let text = fs::read_to_string(self.out.join(file)).with_context(|| file.to_owned())?;
        serde_json::from_str(&text).with_context(|| file.to_owned())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
