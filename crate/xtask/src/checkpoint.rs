//! `cargo xtask checkpoint`: a checkpoint of random numbers. What writes it needs the crate itself, so it is an example
//! of that, and is built when it is asked for.

use std::ffi::OsString;

use anyhow::Result;

use crate::workspace::{self, Workspace};

/// Builds the example and runs it in the caller's folder.
pub fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let manifest = workspace.root.join("Cargo.toml");
    let mut command = workspace.cargo(&["run", "--release", "--example", "checkpoint", "--manifest-path"]);
    command.arg(manifest).arg("--").args(arguments);
    // Paths are the caller's.
    command.current_dir(std::env::current_dir()?);
    workspace::run(&mut command)
}
