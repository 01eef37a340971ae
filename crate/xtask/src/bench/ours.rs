//! Our side: `flagdit bench --json`, and the package's `bench` in a browser (`e2e/bench/`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::e2e;
use crate::workspace::{self, Workspace};

/// Where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    NativeCpu,
    NativeGpu,
    WebCpu,
    WebGpu,
}

impl Place {
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::NativeGpu | Self::WebGpu)
    }

    fn device(self) -> &'static str {
        if self.is_gpu() { "gpu" } else { "cpu" }
    }
}

/// What is measured.
pub enum Work {
    /// Steps of a picture of the model's native size.
    Picture { steps: Option<usize> },
    /// Calls of the denoiser in a batch of two.
    Denoiser { width: usize, height: usize, caption_tokens: usize },
}

impl Work {
    /// As the program is called.
    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Picture { steps } => {
                steps.iter().flat_map(|steps| ["--steps".to_owned(), steps.to_string()]).collect()
            }
            Self::Denoiser { width, height, caption_tokens } => {
                let size = format!("{width}x{height}");
                let words = ["--denoiser", "--size", &size, "--caption-tokens", &caption_tokens.to_string()];
                words.map(str::to_owned).to_vec()
            }
        }
    }

    /// As the package is called.
    fn options(&self) -> Value {
        match self {
            Self::Picture { steps: Some(steps) } => json!({ "request": { "steps": steps } }),
            Self::Picture { steps: None } => json!({}),
            Self::Denoiser { width, height, caption_tokens } => {
                json!({ "denoiser": { "width": width, "height": height, "captionTokens": caption_tokens } })
            }
        }
    }
}

/// What was built, and the browser it runs in.
pub struct Ours<'a> {
    workspace: &'a Workspace,
    pub program: PathBuf,
    pub chromium: PathBuf,
    pub adapter: &'a str,
}

impl<'a> Ours<'a> {
    pub fn new(workspace: &'a Workspace, adapter: &'a str) -> Result<Self> {
        let program = workspace.target_folder()?.join("release/flagdit");
        ensure!(program.exists(), "{}: not built; leave --built out", program.display());
        Ok(Self { workspace, program, chromium: e2e::prepared(workspace)?, adapter })
    }

    /// The report of one measurement.
    pub fn measure(&self, model: &Path, work: &Work, place: Place) -> Result<Value> {
        match place {
            Place::NativeCpu | Place::NativeGpu => self.native(model, work, place),
            Place::WebCpu | Place::WebGpu => self.browser(model, work, place),
        }
    }

    /// Runs the program, and returns the last event that it prints.
    pub fn program(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = self.workspace.command(&self.program);
        command.args(arguments).arg("--json");
        let text = workspace::output(&mut command)?;
        let line = text.lines().last().context("the program printed nothing")?;
        serde_json::from_str(line).with_context(|| line.to_owned())
    }

    fn native(&self, model: &Path, work: &Work, place: Place) -> Result<Value> {
        let (model, work) = (model.display().to_string(), work.arguments());
        let fixed = ["bench", "--device", place.device(), "--model", &model];
        let arguments: Vec<&str> = fixed.into_iter().chain(work.iter().map(String::as_str)).collect();
        self.program(&arguments)
    }

    fn browser(&self, model: &Path, work: &Work, place: Place) -> Result<Value> {
        let mut options = work.options();
        options["device"] = place.device().into();
        Ok(self.in_one_tab(model, &json!([options]), None)?[0].take())
    }

    /// The reports of several measurements, one after the other in one tab, by the package that was built for it if there is
    /// one.
    pub fn in_one_tab(&self, model: &Path, options: &Value, package: Option<&Path>) -> Result<Value> {
        let report = self.workspace.target_folder()?.join("bench-report.json");
        let mut command = self.workspace.within("e2e");
        command.args(["npx", "playwright", "test", "--config", "bench.config.ts"]);
        command.env("CHROMIUM", &self.chromium).env("ADAPTER", self.adapter).env("REPORT", &report);
        command.env("MODEL", model).env("OPTIONS", options.to_string());
        if let Some(package) = package {
            command.env("PACKAGE", package);
        }
        workspace::run(&mut command)?;
        let text = fs::read_to_string(&report).with_context(|| report.display().to_string())?;
        fs::remove_file(&report)?;
        Ok(serde_json::from_str(&text)?)
    }
}
