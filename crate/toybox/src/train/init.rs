//! A run that begins with the weights of a model folder instead of random ones.

use std::{collections::HashMap, fs, path::Path, rc::Rc};

use anyhow::{Context, Result};
use flagdit::weights::{self, Reader};

use super::checkpoint::{self, Named};

/// Fills the run in `folder` from `model`, where it has no checkpoints yet. Optimizer state starts anew.
pub fn from_model(model: &Path, folder: &Path) -> Result<()> {
    let source = Rc::new(weights::folder(model));
    let reader = pollster::block_on(Reader::open(source))?;
    for (file, components) in [("autoencoder", &["decoders.image"][..]), ("denoiser", &["text", "denoiser"])] {
        let path = folder.join(file).with_extension("safetensors");
        if !path.exists() {
            let tensors = components.iter().map(|component| tensors(&reader, component)).collect::<Result<Vec<_>>>()?;
            checkpoint::write(&path, &tensors.concat(), HashMap::new())?;
        }
    }
    let tokenizer = folder.join("tokenizer.json");
    if !tokenizer.exists() {
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
