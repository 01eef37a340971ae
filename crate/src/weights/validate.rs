//! What a manifest must fulfil before anything is opened or allocated: paths, hashes, indices, shapes and parts.

use std::collections::HashSet;
use std::fmt::Display;

use crate::error::{Error, Result};
use crate::quant::{Format, Layout};
use crate::request::{MAX_FPS, MAX_GUIDANCE, MAX_STEPS, TIME_SHIFTS};
use crate::weights::digest::chunk_count;
use crate::weights::manifest::{
    Component, Extrapolation, FileEntry, Frames, Manifest, RopeExtrapolation, Sampling, Sizes, TensorEntry,
};
use crate::weights::{MANIFEST, path};

/// No network has tensors of more axes.
const MAX_RANK: usize = 8;

impl Manifest {
    /// Refuses a manifest that contradicts itself; see [`Manifest::parse`].
    pub(super) fn validate(&self) -> Result<()> {
        self.validate_modalities()?;
        self.validate_files()?;
        if self.components.named().next().is_none() {
            return Err(refuse("components", "one or more", "none"));
        }
        for (name, component) in self.components.named() {
            self.validate_component(&name, component)?;
        }
        let components: Vec<String> = self.components.named().map(|(name, _)| name).collect();
        for (name, entry) in &self.tensors {
            let is_of = |component: &String| name.strip_prefix(component).is_some_and(|rest| rest.starts_with('.'));
            if is_name(name) && !components.iter().any(is_of) {
                let expected = format!("a tensor of a component ({})", components.join(", "));
                return Err(refuse(format!("tensors.{name}"), expected, "another"));
            }
            self.validate_tensor(name, entry)?;
        }
        Ok(())
    }

    fn validate_modalities(&self) -> Result<()> {
        let known: HashSet<_> = self.modalities.iter().collect();
        if known.is_empty() || known.len() != self.modalities.len() {
            return Err(refuse("modalities", "one or more different ones", format!("{:?}", self.modalities)));
        }
        let named = |field, names: Vec<&String>| match names.into_iter().find(|name| !known.contains(*name)) {
            Some(name) => Err(refuse(field, "names among the modalities", format!("{name:?}"))),
            None => Ok(()),
        };
        named("sizes", self.sizes.keys().collect())?;
        named("sampling", self.sampling.keys().collect())?;
        named("components.decoders", self.components.decoders.keys().collect())?;
        self.sizes.iter().try_for_each(|(name, sizes)| validate_sizes(name, sizes))?;
        self.sampling.iter().try_for_each(|(name, sampling)| validate_sampling(name, sampling))
    }

    fn validate_files(&self) -> Result<()> {
        let mut paths = HashSet::new();
        let mut total = 0_u64;
        for (index, file) in self.files.iter().enumerate() {
            validate_file(index, file)?;
            if !paths.insert(&file.path) {
                return Err(refuse(
                    format!("files[{index}].path"),
                    "every path once",
                    format!("{:?} again", file.path),
                ));
            }
            total = total
                .checked_add(file.bytes)
                .ok_or_else(|| refuse(format!("files[{index}].bytes"), "a sum below 2^64", file.bytes))?;
        }
        Ok(())
    }

    fn validate_component(&self, name: &str, component: &Component) -> Result<()> {
        if component.architecture.is_empty() {
            return Err(refuse(format!("components.{name}.architecture"), "a name", "none"));
        }
        if !component.config.is_object() {
            return Err(refuse(format!("components.{name}.config"), "an object", &component.config));
        }
        match &component.tokenizer {
            // It is one of the files, so that its hash is part of the model's identity.
            Some(path) if self.file_index(path).is_none() => {
                Err(refuse(format!("components.{name}.tokenizer"), "the path of one of the files", format!("{path:?}")))
            }
            _ => Ok(()),
        }
    }

    fn validate_tensor(&self, name: &str, entry: &TensorEntry) -> Result<()> {
        let subject = |field: &str| format!("tensors.{name}: {field}");
        if !is_name(name) {
            let expected = "letters, digits, '_', '-' and single dots";
            return Err(refuse("tensors", expected, format!("the name {name:?}")));
        }
        validate_shape(entry.format, &entry.shape)
            .map_err(|expected| refuse(subject("shape"), expected, format!("{:?} in {}", entry.shape, entry.format)))?;
        let mut next_row = 0;
        let mut files = HashSet::new();
        for part in entry.row_parts() {
            if !self.files.get(part.file).is_some_and(FileEntry::is_shard) {
                return Err(refuse(subject("file"), "the index of a .safetensors file", part.file));
            }
            if !files.insert(part.file) {
                return Err(refuse(
                    subject("parts"),
                    "every part in a file of its own",
                    format!("{} again", part.file),
                ));
            }
            if part.rows[0] != next_row || part.rows[1] <= next_row {
                return Err(refuse(subject("parts"), format!("rows from {next_row} on"), format!("{:?}", part.rows)));
            }
            next_row = part.rows[1];
        }
        if next_row != entry.rows() {
            return Err(refuse(subject("parts"), format!("rows up to {}", entry.rows()), next_row));
        }
        match entry.parts.iter().flatten().next() {
            Some(first) if first.file != entry.file => {
                Err(refuse(subject("file"), format!("{}, that of the first part", first.file), entry.file))
            }
            _ => Ok(()),
        }
    }
}

fn validate_file(index: usize, file: &FileEntry) -> Result<()> {
    let subject = |field: &str| format!("files[{index}].{field} ({:?})", file.path);
    if !path::is_safe(&file.path) || file.path == MANIFEST {
        let expected = "a path inside the model folder";
        return Err(refuse(format!("files[{index}].path"), expected, format!("{:?}", file.path)));
    }
    let chunks = chunk_count(file.bytes);
    if file.chunks.len() as u64 != chunks {
        let expected = format!("{chunks} hashes for {} bytes", file.bytes);
        return Err(refuse(subject("chunks"), expected, file.chunks.len()));
    }
    let hashes = std::iter::once(("sha256".into(), &file.sha256))
        .chain(file.chunks.iter().enumerate().map(|(chunk, hash)| (format!("chunks[{chunk}]"), hash)));
    for (field, hash) in hashes {
        if hash.len() != 64 || !hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(refuse(subject(&field), "64 lower-case hexadecimal digits", format!("{hash:?}")));
        }
    }
    Ok(())
}

/// Refuses a shape that `format` cannot have; the error says what is expected.
pub(super) fn validate_shape(format: Format, shape: &[usize]) -> Result<(), &'static str> {
    if shape.len() > MAX_RANK {
        return Err("at most 8 axes");
    }
    if shape.contains(&0) {
        return Err("sides of 1 or more");
    }
    // Counted in f32, which every tensor may be expanded to.
    let bytes = shape.iter().try_fold(size_of::<f32>(), |bytes, side| bytes.checked_mul(*side));
    if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err("a size in memory");
    }
    match (format.is_quantized(), shape) {
        (false, _) => Ok(()),
        (true, [rows, rest @ ..]) if !rest.is_empty() => {
            Layout::new(*rows, rest.iter().product(), format).map(drop).map_err(|_| "a size in memory")
        }
        (true, _) => Err("two or more axes"),
    }
}

/// Whether `name` can be a tensor's: it also becomes part of file names and JSON, so nothing in it needs an escape.
pub(super) fn is_name(name: &str) -> bool {
    !name.contains('/') && name.split('.').all(path::is_safe)
}

/// The longest side a manifest may allow. Tokens grow with the area, and what they take is not known to the manifest.
const MAX_SIDE: u32 = 8192;

/// The most pictures that a manifest may allow.
const MAX_FRAMES: u32 = 1024;

fn validate_sizes(name: &str, sizes: &Sizes) -> Result<()> {
    let Sizes { native, multiple, max, frames, trained_tokens, extrapolation } = sizes;
    if let Some(Frames { native, max, fps }) = frames
        && !((1..=*max).contains(native) && *max <= MAX_FRAMES && fps.is_none_or(|fps| (1..=MAX_FPS).contains(&fps)))
    {
        let expected = format!("1 ≤ native ≤ max ≤ {MAX_FRAMES}, fps 1 to {MAX_FPS}");
        return Err(refuse(format!("sizes.{name}.frames"), expected, format!("{native}, {max}, {fps:?}")));
    }
    if let Some(Extrapolation { base_tokens, rope, .. }) = extrapolation {
        let is_time = match rope {
            RopeExtrapolation::Ntk => true,
            RopeExtrapolation::TimeAware { watershed } => (0.0..=1.0).contains(watershed),
        };
        if *base_tokens < 2 || !is_time {
            let expected = "base_tokens of 2 or more and a watershed of 0 to 1";
            return Err(refuse(format!("sizes.{name}.extrapolation"), expected, format!("{extrapolation:?}")));
        }
    }
    if trained_tokens.is_some_and(|tokens| tokens < 2) {
        return Err(refuse(format!("sizes.{name}.trained_tokens"), "2 or more", format!("{trained_tokens:?}")));
    }
    let fits = |side: &u32| (1..=MAX_SIDE).contains(side) && side.is_multiple_of(*multiple);
    let good = *multiple > 0
        && !native.is_empty()
        && native.len() == max.len()
        && native.iter().chain(max).all(fits)
        && native.iter().zip(max).all(|(native, max)| native <= max);
    if good {
        return Ok(());
    }
    let found = format!("native {native:?}, multiple {multiple}, max {max:?}");
    Err(refuse(
        format!("sizes.{name}"),
        format!("multiples of `multiple`, none above max, none above {MAX_SIDE}"),
        found,
    ))
}

/// A prefix is a word or a few.
const MAX_PREFIX_BYTES: usize = 256;

fn validate_sampling(name: &str, sampling: &Sampling) -> Result<()> {
    let Sampling { steps, solver, guidance, time_shift, schedule: _, guided_channels, prompt_prefix } = sampling;
    let subject = |field: &str| format!("sampling.{name}.{field}");
    if !(1..=MAX_STEPS).contains(&(*steps as usize)) {
        return Err(refuse(subject("steps"), format!("1 to {MAX_STEPS}"), steps));
    }
    if solver.is_empty() {
        return Err(refuse(subject("solver"), "a name", "none"));
    }
    if !(0.0..=MAX_GUIDANCE).contains(guidance) {
        return Err(refuse(subject("guidance"), format!("0 to {MAX_GUIDANCE}"), guidance));
    }
    if prompt_prefix.as_ref().is_some_and(|prefix| prefix.len() > MAX_PREFIX_BYTES) {
        return Err(refuse(subject("prompt_prefix"), format!("at most {MAX_PREFIX_BYTES} bytes"), "more"));
    }
    if *guided_channels == Some(0) {
        return Err(refuse(subject("guided_channels"), "1 or more", 0));
    }
    if !TIME_SHIFTS.contains(time_shift) {
        let expected = format!("{} to {}", TIME_SHIFTS.start(), TIME_SHIFTS.end());
        return Err(refuse(subject("time_shift"), expected, time_shift));
    }
    Ok(())
}

fn refuse(field: impl Display, expected: impl Into<String>, found: impl Display) -> Error {
    Error::bad_model(format!("{MANIFEST}: {field}")).expected(expected).found(found.to_string())
}
