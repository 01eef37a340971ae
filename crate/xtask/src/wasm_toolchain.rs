//! Finds a compiler for WebAssembly, and the wasm-bindgen that belongs to the locked crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::install::{self, succeeds};
use crate::workspace::{self, Workspace};

/// Debian's compiler with the sources of its std, which are compiled for the target on the way.
const DISTRIBUTION: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// `cargo rustc` of a toolchain that can build for `target`: the active one, with the target added if rustup can, else
/// the distribution's with a std of its own.
pub fn cargo(workspace: &Workspace, target: &str) -> Result<Command> {
    if has_target(workspace, target)? || succeeds(workspace.command("rustup").args(["target", "add", target])) {
        return Ok(workspace.cargo(&["rustc"]));
    }
    if !Path::new("/usr/bin/rustc").exists() || !Path::new("/usr/bin/cargo").exists() {
        install::packages(workspace, "a Rust toolchain for wasm32-unknown-unknown", &DISTRIBUTION)?;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let mut cargo = workspace.command("/usr/bin/cargo");
    cargo.env("RUSTC_BOOTSTRAP", "1").env("PATH", format!("/usr/bin:{path}"));
    cargo.args(["rustc", "-Zbuild-std=std,panic_abort"]);
    Ok(cargo)
}

fn has_target(workspace: &Workspace, target: &str) -> Result<bool> {
    let output = workspace.command("rustc").args(["--print", "sysroot"]).output().context("rustc")?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(sysroot.join("lib/rustlib").join(target).join("lib").is_dir())
}

/// The program of exactly the version that `Cargo.lock` has of the crate, installed into `tools` if it is not there.
pub fn bindgen(workspace: &Workspace, tools: &Path) -> Result<PathBuf> {
    let version = locked(workspace, "wasm-bindgen")?;
    let program = tools.join("bin/wasm-bindgen");
    let found = Command::new(&program).arg("--version").output();
    let is_right = found.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(&version));
    if !is_right {
        let mut install = workspace.cargo(&["install", "wasm-bindgen-cli", "--version", &version, "--force", "--root"]);
        // It runs for seconds: to optimise it less is a minute won.
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        workspace::run(install.arg(tools))?;
    }
    Ok(program)
}

/// The version of a crate in `Cargo.lock`.
fn locked(workspace: &Workspace, name: &str) -> Result<String> {
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock")).context("Cargo.lock")?;
    match version_in(&lock, name) {
        Some(version) => Ok(version.to_owned()),
        None => bail!("Cargo.lock names no {name}"),
    }
}

fn version_in<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let after = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_not_taken_for_its_neighbour() {
        let lock =
            "[[package]]\nname = \"a-b\"\nversion = \"2.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n";
        assert_eq!(version_in(lock, "a"), Some("1.2.3"));
        assert_eq!(version_in(lock, "b"), None);
    }
}
