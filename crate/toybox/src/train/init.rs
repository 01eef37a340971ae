//! A run that begins with the weights of a model folder instead of random ones.

use std::{collections::HashMap, fs, path::Path, rc::Rc};

use anyhow::{Context, Result};
use flagdit::weights::{self, Reader};

use super::{
    autoencoder::MEASURED,
    checkpoint::{self, Named},
};

/// Fills the run in `folder` from `model`, where it has no checkpoints yet. Optimizer state starts anew.
pub fn from_model(model: &Path, folder: &Path) -> Result<()> {
    let source = Rc::new(weights::folder(model));
    let reader = pollster::block_on(Reader::open(source))?;
    let mut is_denoiser_new = false;
    for (file, components) in [("autoencoder", &["decoders.image"][..]), ("denoiser", &["text", "denoiser"])] {
        let path = folder.join(file).with_extension("safetensors");
        if !path.exists() {
            let tensors = components.iter().map(|component| tensors(&reader, component)).collect::<Result<Vec<_>>>()?;
            checkpoint::write(&path, &tensors.concat(), HashMap::new())?;
            is_denoiser_new = file == "denoiser";
        }
    }
    let measured = folder.join(MEASURED);
    if !measured.exists() {
        let decoder = reader.manifest().components.decoders.get("image").context("a model without an image decoder")?;
        fs::write(&measured, serde_json::to_string_pretty(&decoder.config)?)?;
    }
    let tokenizer = folder.join("tokenizer.json");
    // Its ids are the rows of the embedding table that was just taken over.
    if is_denoiser_new {
        let path = reader.manifest().components.text.tokenizer.clone().context("a model without a tokenizer")?;
        fs::write(&tokenizer, pollster::block_on(reader.file(&path))?)?;
    }
    Ok(())
}

/// A component's tensors by the names that a checkpoint has for them.
fn tensors(reader: &Reader, component: &str) -> Result<Vec<Named>> {
    let named = |name: &str| {
        let tensor = pollster::block_on(reader.tensor(name))?;
        let name = name.strip_prefix("decoders.image.").unwrap_or(name);
        Ok((name.to_owned(), tensor.shape, tensor.values))
    };
    reader.names_of(component).map(named).collect()
}
