//! The file tree that the README shows exists: one path a line, two spaces of indentation a level, then a comment.
//! Folders end in a slash.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::markdown::{self, Block};
use crate::workspace::Workspace;

/// Checks each path of the ```text block that stands under a heading with "file tree" in it.
pub fn run(workspace: &Workspace) -> Result<()> {
    let text = fs::read_to_string(workspace.root.join("README.md")).context("README.md")?;
    let is_tree = |block: &Block| block.info == "text" && block.heading.to_lowercase().contains("file tree");
    let blocks = markdown::blocks(&text);
    let block = blocks.iter().find(|block| is_tree(block));
    let paths = paths(&block.context("README.md: no ```text block under a heading with \"file tree\" in it")?.lines)?;
    ensure!(!paths.is_empty(), "README.md: the file tree is empty");

    let wrong: Vec<_> = paths.iter().filter(|(_, path)| !exists(&workspace.root, path)).collect();
    for (number, path) in &wrong {
        println!("README.md:{number}: {path} does not exist");
    }
    ensure!(wrong.is_empty(), "README.md: {} of the {} paths in the file tree do not exist", wrong.len(), paths.len());
    println!("{} paths exist", paths.len());
    Ok(())
}

fn exists(root: &Path, path: &str) -> bool {
    let full = root.join(path);
    if path.ends_with('/') { full.is_dir() } else { full.is_file() }
}

/// The full path of each line, with the line's number.
fn paths(lines: &[(usize, &str)]) -> Result<Vec<(usize, String)>> {
    let mut folders: Vec<&str> = Vec::new();
    let mut paths = Vec::new();
    for &(number, line) in lines {
        let Some(name) = line.split_whitespace().next() else { continue };
        let indent = line.len() - line.trim_start_matches(' ').len();
        if indent % 2 != 0 || indent / 2 > folders.len() {
            bail!("README.md:{number}: indented by {indent}, expected two spaces for each folder above it: {line}");
        }
        folders.truncate(indent / 2);
        paths.push((number, folders.concat() + name));
        if name.ends_with('/') {
            folders.push(name);
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_makes_paths() {
        let tree = "crate/         the code\n  src/\n    lib.rs     the library\n  bin/main.rs\n\nREADME.md      this";
        let lines: Vec<_> = tree.lines().enumerate().collect();
        let found: Vec<_> = paths(&lines).unwrap().into_iter().map(|(_, path)| path).collect();
        assert_eq!(found, ["crate/", "crate/src/", "crate/src/lib.rs", "crate/bin/main.rs", "README.md"]);
    }

    #[test]
    fn a_level_without_its_folder_is_refused() {
        assert!(paths(&[(7, "    lib.rs")]).unwrap_err().to_string().contains("README.md:7"));
        assert!(paths(&[(1, "crate/"), (2, "   lib.rs")]).is_err());
        assert!(paths(&[(1, "README.md"), (2, "  lib.rs")]).is_err());
    }

    #[test]
    fn a_missing_path_is_noticed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(exists(root, "src/") && exists(root, "src/main.rs"));
        assert!(!exists(root, "src/absent.rs") && !exists(root, "src") && !exists(root, "src/main.rs/"));
    }
}
