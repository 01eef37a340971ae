//! `flagdit convert`: a Lumina checkpoint → a model folder.

use std::path::Path;

use flagdit::convert::{self, Options};
use flagdit::error::{Error, Result};
use flagdit::weights::recipe::{Quant, Rule};
use serde_json::json;

use crate::args::ConvertArgs;
use crate::interrupt;
use crate::progress_bar::{Progress, Unit};
use crate::terminal::Terminal;

pub fn run(args: &ConvertArgs, terminal: &Terminal) -> Result<()> {
    let options = Options {
        quant: args.quant.parse::<Quant>()?,
        recipe: args.recipe.as_deref().map(recipe).transpose()?,
        config: args.config.clone(),
        text_encoder: args.text_encoder.clone(),
        vae: args.vae.clone(),
        part: args.component.as_deref().map(str::parse).transpose()?,
    };
    let mut bar = Progress::new(terminal);
    bar.begin_of(format!("{}: converting", args.source.display()), 0, Unit::Bytes);
    let mut progress = |state: convert::Progress| {
        interrupt::check()?;
        bar.update(state.read, state.total);
        if terminal.is_json() {
            terminal.event(&json!({ "type": "progress", "read": state.read, "total": state.total }))?;
        }
        Ok(())
    };
    let manifest = convert::convert(&args.source, &args.output, &options, &mut progress)?;
    drop(bar);
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    if terminal.is_json() {
        let done = json!({ "type": "done", "model": args.output, "bytes": bytes, "tensors": manifest.tensors.len() });
        return terminal.event(&done);
    }
    let tensors = manifest.tensors.len();
    terminal.note(&format!("{}: {tensors} tensors, {:.1} MB", args.output.display(), bytes as f64 / 1e6))
}

fn recipe(path: &Path) -> Result<Vec<Rule>> {
    let text = std::fs::read(path).map_err(|error| Error::file(path.display(), &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Error::bad_request(path.display().to_string())
            .expected("a list of { \"pattern\", \"format\" }")
            .found(error.to_string())
    })
}
