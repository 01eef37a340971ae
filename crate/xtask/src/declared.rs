//! Every test and bench file is a target of the package. Cargo does not look for them (the package stands at the
//! root, its tests in `crate/tests`), so a file that Cargo.toml does not name would silently never run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::workspace::Workspace;

/// Compares the files with what cargo says of the package.
pub fn run(workspace: &Workspace) -> Result<()> {
    let metadata = workspace.metadata()?;

    let mut undeclared = Vec::new();
    for (folder, kind) in [("crate/tests", "test"), ("crate/benches", "bench")] {
        let files = rust_files(&workspace.root.join(folder))?;
        let declared = targets(&metadata, kind);
        println!("files in {folder}: {}", files.len());
        undeclared.extend(files.difference(&declared).map(|file| entry(&workspace.root, file, kind)));
    }
    ensure!(undeclared.is_empty(), "would never run, add to Cargo.toml:\n\n{}", undeclared.join("\n"));
    Ok(())
}

/// The source files of all targets of one kind; of the tests only those that `cargo test` runs.
fn targets(metadata: &Value, kind: &str) -> BTreeSet<PathBuf> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let of_kind =
        targets.filter(|target| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind)));
    let runs = of_kind.filter(|target| kind != "test" || target["test"] == true);
    runs.filter_map(|target| target["src_path"].as_str().map(PathBuf::from)).collect()
}

/// The `.rs` files that stand directly in a folder; modules that tests share live one folder deeper.
fn rust_files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.with_context(|| folder.display().to_string())?,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect())
}

/// The lines that Cargo.toml lacks.
fn entry(root: &Path, file: &Path, kind: &str) -> String {
    let name = file.file_stem().unwrap_or_default().display();
    format!("[[{kind}]]\nname = \"{name}\"\npath = \"{}\"\n", file.strip_prefix(root).unwrap_or(file).display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_that_run_count_as_declared() {
        let target =
            |kind: &str, path: &str, test: bool| serde_json::json!({"kind": [kind], "src_path": path, "test": test});
        let targets_json = [
            target("lib", "/l.rs", true),
            target("test", "/a.rs", true),
            target("test", "/off.rs", false),
            target("bench", "/b.rs", false),
        ];
        let metadata = serde_json::json!({"packages": [{"targets": targets_json}]});
        assert_eq!(targets(&metadata, "test"), BTreeSet::from([PathBuf::from("/a.rs")]));
        assert_eq!(targets(&metadata, "bench"), BTreeSet::from([PathBuf::from("/b.rs")]));
    }
}
