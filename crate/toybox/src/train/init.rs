//! A run that begins with the weights of a model folder instead of random ones.

use std::{collections::HashMap, fs, path::Path, rc::Rc};

use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use flagdit::weights::{self, Reader, params::Params};

use super::{
    autoencoder::MEASURED,
    checkpoint::{self, Named},
    denoiser::TextToLatent,
    recipe::Recipe,
};
use crate::tokenizer::CaptionTokenizer;

/// How many names of tensors are told.
const SHOWN: usize = 6;
/// A row for each token.
const TOKEN_TABLE: &str = "text.embed_tokens.weight";

/// Fills the run in `folder` from `model`, where it has no checkpoints yet. Optimizer state starts anew. What the recipe
/// has and the model lacks (a modality's ends, words) starts as in any new run.
pub fn from_model(model: &Path, recipe: &Recipe, folder: &Path) -> Result<()> {
    let source = Rc::new(weights::folder(model));
    let reader = pollster::block_on(Reader::open(source))?;
    let path = |file: &str| folder.join(file).with_extension("safetensors");
    if !path("autoencoder").exists() {
        checkpoint::write(&path("autoencoder"), &tensors(&reader, "decoders.image")?, HashMap::new())?;
    }
    let measured = folder.join(MEASURED);
    if !measured.exists() {
        let decoder = reader.manifest().components.decoders.get("image").context("a model without an image decoder")?;
        fs::write(&measured, serde_json::to_string_pretty(&decoder.config)?)?;
    }
    if !path("denoiser").exists() {
        let tokenizer = folder.join("tokenizer.json");
        let vocabulary = CaptionTokenizer::load_or_train(&tokenizer, recipe)?.vocabulary();
        let known = [tensors(&reader, "text")?, tensors(&reader, "denoiser")?].concat();
        let known = with_rows_of(known, &vocabulary_of(&reader)?, &fs::read(&tokenizer)?)?;
        let device = Device::flex();
        device.seed(recipe.seed);
        let random = checkpoint::parameters(&TextToLatent::new(recipe, vocabulary, &Params::random(&device))?);
        checkpoint::write(&path("denoiser"), &filled(random, known), HashMap::new())?;
    }
    Ok(())
}

/// `random` with the values of `known` where name and shape agree; of the token table whatever rows there are.
fn filled(random: Vec<Named>, mut known: HashMap<String, Known>) -> Vec<Named> {
    let (all, mut new) = (random.len(), Vec::new());
    let fill = |(name, shape, mut values): Named| {
        match known.remove(&name) {
            Some(Known::Whole(its_shape, its_values)) if its_shape == shape => values = its_values,
            Some(Known::Rows(rows)) => {
                let width = values.len() / shape[0];
                for (id, row) in rows.into_iter().filter(|(_, row)| row.len() == width) {
                    values[id * width..][..width].copy_from_slice(&row);
                }
            }
            _ => new.push(name.clone()),
        }
        (name, shape, values)
    };
    let filled = random.into_iter().map(fill).collect();
    println!("{} of {all} tensors are the model's", all - new.len());
    if !new.is_empty() {
        let shown = new.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        println!("{} begin anew, which it lacks or has in another shape: {shown} and so on", new.len());
    }
    filled
}

/// What a model has for a parameter.
enum Known {
    Whole(Vec<usize>, Vec<f32>),
    /// Rows by their new place.
    Rows(Vec<(usize, Vec<f32>)>),
}

/// The tensors by name; the token table's rows go to where `tokenizer` has their tokens.
fn with_rows_of(
    tensors: Vec<Named>,
    vocabulary: &HashMap<String, u32>,
    tokenizer: &[u8],
) -> Result<HashMap<String, Known>> {
    let tokenizer = tokenizers::Tokenizer::from_bytes(tokenizer).map_err(|error| anyhow!(error))?;
    let of = |(name, shape, values): Named| {
        if name != TOKEN_TABLE {
            return (name, Known::Whole(shape, values));
        }
        let width = values.len() / shape[0];
        let row = |(token, &id): (&String, &u32)| {
            let row = values.get(id as usize * width..)?.get(..width)?;
            Some((tokenizer.token_to_id(token)? as usize, row.to_vec()))
        };
        (name, Known::Rows(vocabulary.iter().filter_map(row).collect()))
    };
    Ok(tensors.into_iter().map(of).collect())
}

/// The ids of a model's tokens.
fn vocabulary_of(reader: &Reader) -> Result<HashMap<String, u32>> {
    let text = reader.manifest().components.text.as_ref();
    let path = text.and_then(|text| text.tokenizer.clone()).context("a model without a tokenizer")?;
    let json = pollster::block_on(reader.file(&path))?;
    let tokenizer = tokenizers::Tokenizer::from_bytes(json).map_err(|error| anyhow!(error))?;
    Ok(tokenizer.get_vocab(true).into_iter().collect())
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
