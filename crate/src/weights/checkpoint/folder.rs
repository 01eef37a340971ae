//! Which files make up a checkpoint: one, or those that an index names, or the ones in a folder that look like it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::weights::checkpoint::file::read_whole;
use crate::weights::{json, path};

const INDEX_ENDING: &str = ".index.json";
const SAFETENSORS_INDEX_ENDING: &str = ".safetensors.index.json";
const SAFETENSORS: &str = "safetensors";
/// How weights end: the last four are of `torch.save`.
const ENDINGS: [&str; 5] = [SAFETENSORS, "pth", "pt", "ckpt", "bin"];
/// What Lumina names the files of a network; `consolidated_ema` is its average over the training.
const CONSOLIDATED: [&str; 2] = ["consolidated", "consolidated_ema"];
/// What Lumina saves beside the network: the arguments of its training, which are code.
const LUMINA_ARGUMENTS: &str = "model_args.pth";
/// What diffusers and transformers name a network's index or only file. Others beside it are variants of it.
const WELL_KNOWN: [&str; 6] = [
    "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
];
/// An index has about a hundred bytes a tensor.
const MAX_INDEX_BYTES: u64 = 64 << 20;
/// An index holds the table of names, and a table of remarks.
const MAX_INDEX_DEPTH: usize = 8;

/// The files of one checkpoint.
#[derive(Debug)]
pub(super) struct Shards {
    pub files: Vec<PathBuf>,
    /// By tensor, the place in `files` where an index says it lies.
    pub indexed: BTreeMap<String, usize>,
}

/// The files of the checkpoint at `path`: a file, an index, or a folder.
///
/// # Errors
/// [`ErrorKind::File`] if nothing is there or a file that an index names is missing,
/// [`ErrorKind::BadModel`] if the index is damaged or the folder holds several checkpoints or none.
pub(super) fn shards(path: &Path) -> Result<Shards> {
    let metadata = path.metadata().map_err(|error| Error::file(path.display(), &error).remedy("check the path"))?;
    let file = if metadata.is_dir() { choose(path)? } else { vec![path.to_owned()] };
    match file.as_slice() {
        [index] if index.to_string_lossy().ends_with(INDEX_ENDING) => read_index(index),
        _ => Ok(Shards { files: file, indexed: BTreeMap::new() }),
    }
}

/// The index or the weights in `folder`. What is surer is looked for first.
fn choose(folder: &Path) -> Result<Vec<PathBuf>> {
    let names = names(folder)?;
    let paths = |names: &[&str]| names.iter().map(|name| folder.join(name)).collect();
    for stem in CONSOLIDATED {
        for ending in ENDINGS {
            let parts = with(&names, |name| consolidated_part(name, stem, ending).is_some());
            if let Some(first) = parts.first() {
                let count = consolidated_part(first, stem, ending).and_then(|part| part.split_once("-of-"));
                return complete(folder, &parts, count.and_then(|(_, count)| count.parse().ok()))
                    .map(|()| paths(&parts));
            }
        }
    }
    let is_weights = |name: &str| name != LUMINA_ARGUMENTS && ENDINGS.contains(&ending(name));
    let choices = [
        with(&names, |name| name.ends_with(SAFETENSORS_INDEX_ENDING)),
        with(&names, |name| ending(name) == SAFETENSORS),
        with(&names, |name| name.ends_with(INDEX_ENDING)),
        with(&names, is_weights),
    ];
    let found = choices.into_iter().find(|found| !found.is_empty());
    let found = found.ok_or_else(|| {
        Error::bad_model(folder.display().to_string())
            .expected("a .safetensors, a .pth or an index of several")
            .found("none")
            .remedy("name the folder of one network (for diffusers: transformer, vae or text_encoder)")
    })?;
    let well_known = WELL_KNOWN.into_iter().find(|name| found.contains(name));
    match (found.as_slice(), well_known) {
        ([only], _) => Ok(paths(&[only])),
        (_, Some(well_known)) => Ok(paths(&[well_known])),
        _ => Err(Error::bad_model(folder.display().to_string())
            .expected("the files of one network")
            .found(found.join(", "))
            .remedy("name one of them")),
    }
}

/// The names of the files in `folder`, sorted.
fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let failure = |error| Error::file(folder.display(), &error);
    let mut names = BTreeSet::new();
    for entry in folder.read_dir().map_err(failure)? {
        let entry = entry.map_err(failure)?;
        // Asked of the path, not of the entry: download caches consist of links.
        if let (Ok(name), true) = (entry.file_name().into_string(), entry.path().is_file()) {
            names.insert(name);
        }
    }
    Ok(names)
}

fn with(names: &BTreeSet<String>, suits: impl Fn(&str) -> bool) -> Vec<&str> {
    names.iter().map(String::as_str).filter(|name| suits(name)).collect()
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The `NN-of-MM` of `STEM.NN-of-MM.ENDING`.
fn consolidated_part<'a>(name: &'a str, stem: &str, ending: &str) -> Option<&'a str> {
    let part = name.strip_prefix(stem)?.strip_prefix('.')?.strip_suffix(ending)?.strip_suffix('.')?;
    part.contains("-of-").then_some(part)
}

/// Each of the `count` parts must be there.
fn complete(folder: &Path, names: &[&str], count: Option<usize>) -> Result<()> {
    let is_part = |place: usize, name: &str| name.contains(&format!(".{place:02}-of-{:02}.", names.len()));
    if count == Some(names.len()) && names.iter().enumerate().all(|(place, name)| is_part(place, name)) {
        return Ok(());
    }
    let expected = count.map_or("NN-of-MM in each name".into(), |count| format!("{count} parts, from 00 on"));
    Err(Error::bad_model(folder.display().to_string())
        .expected(expected)
        .found(names.join(", "))
        .remedy("download what is missing, or name one file"))
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn read_index(index: &Path) -> Result<Shards> {
    let name = index.display().to_string();
    let text = read_whole(index, MAX_INDEX_BYTES)?;
    let Index { weight_map } =
        json::check(&text, MAX_INDEX_DEPTH).and_then(|()| serde_json::from_slice(&text)).map_err(|error| {
            Error::bad_model(&name).expected("a weight_map of names and files").found(error.to_string())
        })?;
    let shards: BTreeSet<&String> = weight_map.values().collect();
    let folder = index.parent().unwrap_or(Path::new(""));
    for shard in &shards {
        if !path::is_safe(shard) {
            return Err(Error::bad_model(name).expected("files beside the index").found(format!("{shard:?}")));
        }
        if !folder.join(shard).is_file() {
            return Err(Error::new(ErrorKind::File, folder.join(shard).display().to_string())
                .expected("a file, as the index says")
                .found("none")
                .remedy("download it too"));
        }
    }
    let shards: Vec<&String> = shards.into_iter().collect();
    let files = shards.iter().map(|shard| folder.join(shard)).collect();
    let place = |shard: &String| shards.binary_search(&shard).expect("every file of the map, sorted");
    let indexed = weight_map.iter().map(|(tensor, shard)| (tensor.clone(), place(shard))).collect();
    Ok(Shards { files, indexed })
}
