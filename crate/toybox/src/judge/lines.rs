//! Lists of captions with what they call for, as JSON lines.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Writes a list.
pub fn write<E: Serialize>(path: &Path, expectations: impl IntoIterator<Item = E>) -> Result<()> {
    let line = |expectation| Ok(serde_json::to_string(&expectation)? + "\n");
    let lines: String = expectations.into_iter().map(line).collect::<Result<_>>()?;
    std::fs::write(path, lines).with_context(|| format!("cannot write the captions to {}", path.display()))
}

/// Reads a list that [`write`] has written.
pub fn read<E: DeserializeOwned>(path: &Path) -> Result<Vec<E>> {
    let lines = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parse = |(number, line)| {
        serde_json::from_str(line)
            .with_context(|| format!("line {} of {} is not as it should be", number + 1, path.display()))
    };
    lines.lines().enumerate().map(parse).collect()
}
