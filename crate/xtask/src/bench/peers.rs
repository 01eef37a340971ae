//! The same denoiser with the same weights in the runtimes that a user would take instead, in turn with ours.
//!
//! The peers are a folder of scripts, which is copied and never written to: `run.sh setup|make|native`, `web/cases.mjs` and
//! `web/drive.mjs`. `make` leaves checkpoints with Lumina's names, which are converted, and PyTorch's output for given
//! inputs, with which ours is compared before anything is timed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{self, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::ours::{Ours, Place, Work};
use super::{Args, readme, table};
use crate::web;
use crate::workspace::{self, Workspace};

/// Formats that both sides have: our name, and the end of theirs.
pub const FORMATS: [(&str, &str); 2] = [("q4", "q4"), ("f32", "fp32")];
/// f32 sums in another order, through all blocks.
const F32_TOLERANCE: &str = "1e-4";
/// Four bits of random weights; the peers' are 9 % off.
const Q4_TOLERANCE: &str = "0.2";
/// Pixels that the autoencoder of Lumina makes of a latent one, along each side.
const FACTOR: usize = 8;
/// An output that is farther off than 4 bits explain: the peer's time counts for nothing.
const WRONG: f64 = 1.0;

/// Where both sides run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Path {
    Native,
    WebCpu,
    WebGpu,
}

impl Path {
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

/// Milliseconds a step of every run, by who ran it and in which format.
#[derive(Default)]
pub struct Runs(BTreeMap<(String, String), Vec<f64>>);

impl Runs {
    fn add(&mut self, who: &str, format: &str, ms: f64) {
        println!("{who}, {format}: {ms:.1} ms a step");
        self.0.entry((who.to_owned(), format.to_owned())).or_default().push(ms);
    }

    /// The medians: `{ who: { format: ms } }`.
    fn medians(&self) -> Value {
        let mut all = Map::new();
        for ((who, format), runs) in &self.0 {
            let mut runs = runs.clone();
            runs.sort_by(f64::total_cmp);
            let of_one = all.entry(who.clone()).or_insert_with(|| json!({}));
            of_one[format] = json!(runs[runs.len() / 2]);
        }
        Value::Object(all)
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
        for ((format, _), tolerance) in FORMATS.into_iter().zip([Q4_TOLERANCE, F32_TOLERANCE]) {
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
                runs.add("flagdit", format, report["stepMs"].as_f64().context("no stepMs")?);
                adapter = report["adapter"]["name"].clone();
            }
            match path {
                Path::Native => self.native(model, &mut runs)?,
                Path::WebCpu => self.browser(model, "wasm", &mut runs)?,
                Path::WebGpu => self.browser(model, "webgpu", &mut runs)?,
            }
        }
        Ok(
            json!({ "model": model, "path": path.name(), "tokens": config["tokens"], "adapter": adapter, "rounds": rounds, "ms": runs.medians() }),
        )
    }

    /// onnxruntime and PyTorch. Of several graphs of one format the fastest counts that computes the right thing.
    fn native(&self, model: &str, runs: &mut Runs) -> Result<()> {
        workspace::run(self.run_sh("native").arg(model))?;
        let rows = self.json("native.json")?;
        let rows = rows.as_array().into_iter().flatten().filter(|row| row["cfg"] == model);
        let mut best = BTreeMap::<(String, &str), f64>::new();
        for row in rows.filter(|row| row["max_abs_vs_torch"].as_f64().is_none_or(|off| off < WRONG)) {
            let (peer, graph) = (row["peer"].as_str().unwrap_or_default(), row["model"].as_str().unwrap_or_default());
            let format = if graph.contains("q4") { "q4" } else { "f32" };
            let ms = row["step_ms"].as_f64().with_context(|| format!("no step_ms: {row}"))?;
            let least = best.entry((peer.to_owned(), format)).or_insert(ms);
            *least = least.min(ms);
        }
        best.iter().for_each(|((peer, format), ms)| runs.add(peer, format, *ms));
        Ok(())
    }

    /// onnxruntime-web on one of its execution providers.
    fn browser(&self, model: &str, provider: &str, runs: &mut Runs) -> Result<()> {
        let script = |name: &str| self.scripts.join("web").join(name);
        let list = workspace::output(Command::new("node").arg(script("cases.mjs")).args(["main", model]))?;
        let mut cases: Vec<Value> = serde_json::from_str(&list)?;
        cases.retain(|case| case["q"]["ep"] == provider);
        let list = self.out.join("turn.json");
        fs::write(&list, serde_json::to_string(&cases)?)?;
        let mut drive = Command::new("node");
        drive.arg(script("drive.mjs")).arg(&list).arg(&self.out);
        drive.env("PEER_CHROMIUM", &self.ours.chromium).env("PEER_ADAPTER", self.ours.adapter);
        let results: Vec<Value> = serde_json::from_str(&workspace::output(&mut drive)?)?;
        for (case, result) in results.iter().map(|case| (case, &case["result"])) {
            let graph = case["q"]["model"].as_str().unwrap_or_default();
            let format = FORMATS.iter().find(|(_, theirs)| graph.contains(theirs)).map_or("f32", |(ours, _)| ours);
            let name = format!("onnxruntime-web {}", case["note"].as_str().unwrap_or_default());
            let ms = result["step_ms"].as_f64().with_context(|| format!("{name}, {graph}: {result}"))?;
            ensure!(result["vs_torch_fp32"]["max_abs"].as_f64() < Some(WRONG), "{name}, {graph}: {result}");
            runs.add(&name, format, ms);
        }
        Ok(())
    }

    fn json(&self, file: &str) -> Result<Value> {
        let text = fs::read_to_string(self.out.join(file)).with_context(|| file.to_owned())?;
        serde_json::from_str(&text).with_context(|| file.to_owned())
    }
}
