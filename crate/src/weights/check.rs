//! The manifest against the shards' headers: every tensor present as stated, and no other.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::weights::header::Header;
use crate::weights::manifest::Manifest;
use crate::weights::stored::{Stored, stored};

/// What the manifest says is in each file: entries by name.
type Expected = Vec<BTreeMap<String, Stored>>;

/// Refuses headers that do not hold exactly what the manifest says. `headers[i]` belongs to `manifest.files[i]`; a file
/// that is not a shard has none.
pub(super) fn check(manifest: &Manifest, headers: &[Option<Header>]) -> Result<()> {
    let expected = expected(manifest)?;
    for ((file, header), mut expected) in manifest.files.iter().zip(headers).zip(expected) {
        for (name, found) in header.iter().flat_map(|header| &header.tensors) {
            let subject = format!("{}: {name}", file.path);
            let Some(stored) = expected.remove(name) else {
                let expected = "only tensors that the manifest lists";
                return Err(Error::bad_model(subject).expected(expected).found("one that it does not list"));
            };
            if (stored.dtype, &stored.shape) != (found.dtype, &found.shape) {
                return Err(Error::bad_model(subject)
                    .expected(format!("{:?} of {:?}, as the manifest says", stored.shape, stored.dtype))
                    .found(format!("{:?} of {:?}", found.shape, found.dtype)));
            }
        }
        if let Some(name) = expected.keys().next() {
            let subject = format!("{}: {name}", file.path);
            return Err(Error::bad_model(subject).expected("a tensor, as the manifest says").found("none"));
        }
    }
    Ok(())
}

fn expected(manifest: &Manifest) -> Result<Expected> {
    let mut expected: Expected = vec![BTreeMap::new(); manifest.files.len()];
    for (name, entry) in &manifest.tensors {
        for part in entry.row_parts() {
            for stored in stored(name, entry.format, &entry.shape, part.rows().len())? {
                // A dense tensor may be called `a.scale` while `a` is quantized.
                if let Some(twice) = expected[part.file].insert(stored.name.clone(), stored) {
                    let subject = format!("{}: {}", manifest.files[part.file].path, twice.name);
                    return Err(Error::bad_model(subject).expected("one tensor of that name").found("two"));
                }
            }
        }
    }
    Ok(expected)
}
