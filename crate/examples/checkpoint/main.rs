//! Writes a checkpoint of random numbers as large as a released one: its names, shapes and dtypes in its files, so that
//! converting and running a model of that size can be tried and measured by people who do not have the weights.
//!
//! ```text
//! cargo run --release --example checkpoint -- lumina-next -o /tmp/lumina-next
//! cargo run --release -- convert /tmp/lumina-next --text-encoder /tmp/lumina-next/text_encoder \
//!     --vae /tmp/lumina-next/vae -o /tmp/lumina-next-q4
//! ```
//!
//! [`models`] lists what is released, [`tensors`] names what is in it, [`numbers`] draws the values and [`files`] writes
//! them as they come: no more than a few megabytes are in memory. [`vocabulary`] makes a tokenizer. With other arguments it
//! is a part of such a model: `--denoiser '{"n_layers": 1}'` makes a single block of it.

mod files;
mod models;
mod numbers;
mod tensors;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use flagdit::decode::vae::VaeConfig;
use flagdit::error::{Error, Result};
use flagdit::model::FlagDitConfig;
use serde::Serialize;
use serde_json::{Map, Value};

use models::{Changes, Model, Text};
use tensors::Entry;

#[derive(Parser)]
#[command(name = "checkpoint", about = "Writes a checkpoint of random numbers, as large as a released one")]
struct Args {
    /// Whose names, shapes and dtypes
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(models::NAMES))]
    model: String,
    /// The folder, which is made
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    parts: Vec<Part>,
    /// Another one, other numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Other arguments of the denoiser than the released one's: {"n_layers": 1}
    #[arg(long, value_name = "JSON", value_parser = object, default_value = "{}")]
    denoiser: Map<String, Value>,
    /// Other arguments of the text encoder: {"num_hidden_layers": 1}
    #[arg(long, value_name = "JSON", value_parser = object, default_value = "{}")]
    text: Map<String, Value>,
    /// Other arguments of the autoencoder
    #[arg(long, value_name = "JSON", value_parser = object, default_value = "{}")]
    vae: Map<String, Value>,
}

fn object(text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_str(text)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Denoiser,
    Text,
    Vae,
}

impl Part {
    const ALL: [Self; 3] = [Self::Denoiser, Self::Text, Self::Vae];
}

fn main() -> ExitCode {
    let Args { model, output, parts, seed, denoiser, text, vae } = Args::parse();
    let model = models::model(&model).and_then(|model| model.with(&Changes { denoiser, text, vae }));
    let written = model.and_then(|model| write(&model, &output, &parts, seed));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes `parts` of `model` into `folder`: the denoiser as its authors do, the others in folders of their own.
fn write(model: &Model, folder: &Path, parts: &[Part], seed: u64) -> Result<()> {
    let Model { denoiser, text, vae } = model;
    if parts.contains(&Part::Denoiser) {
        write_denoiser(denoiser, folder, seed)?;
    }
    if let Some(text) = text.as_ref().filter(|_| parts.contains(&Part::Text)) {
        write_text(text, &folder.join("text_encoder"), seed)?;
    }
    if let Some(vae) = vae.as_ref().filter(|_| parts.contains(&Part::Vae)) {
        write_vae(vae, &folder.join("vae"), seed)?;
    }
    Ok(())
}

fn write_denoiser(config: &FlagDitConfig, folder: &Path, seed: u64) -> Result<()> {
    make(folder)?;
    timed(&folder.join("consolidated.00-of-01.safetensors"), &tensors::denoiser(config)?, seed)?;
    json(&folder.join("config.json"), config)
}

fn write_text(text: &Text, folder: &Path, seed: u64) -> Result<()> {
    make(folder)?;
    json(&folder.join("config.json"), &text.config)?;
    let entries = tensors::text(text)?;
    let pieces = text.config["vocab_size"].as_u64().unwrap_or_default() as usize;
    file(&folder.join("tokenizer.model"), &vocabulary::model(text.vocabulary, pieces))?;
    let shards = files::split(&entries, text.shard_bytes);
    let count = shards.len();
    if count == 1 {
        return timed(&folder.join("model.safetensors"), &entries, seed);
    }
    let name = |index: usize| format!("model-{:05}-of-{count:05}.safetensors", index + 1);
    for (index, shard) in shards.iter().enumerate() {
        timed(&folder.join(name(index)), shard, seed)?;
    }
    json(&folder.join("model.safetensors.index.json"), &files::index(&shards, name))
}

fn write_vae(config: &VaeConfig, folder: &Path, seed: u64) -> Result<()> {
    make(folder)?;
    timed(&folder.join("diffusion_pytorch_model.safetensors"), &tensors::vae(config)?, seed)?;
    json(&folder.join("config.json"), config)
}

/// Writes a file of tensors and says how long that took.
fn timed(path: &Path, entries: &[Entry], seed: u64) -> Result<()> {
    let start = Instant::now();
    let bytes = files::write(path, entries, seed)? as f64 / 1e6;
    let seconds = start.elapsed().as_secs_f64();
    println!("{}: {} tensors, {bytes:.1} MB, {:.0} MB/s", path.display(), entries.len(), bytes / seconds);
    Ok(())
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Error::file(folder.display(), &error))
}

fn json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::bad_request(error.to_string()))?;
    file(path, text.as_bytes())
}

fn file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|error| Error::file(path.display(), &error))
}
