//! Where the repository is, and how a command is run in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The repository. Builds go where the caller's cargo puts them: a second folder would compile Burn a second time.
pub struct Workspace {
    pub root: PathBuf,
}

impl Workspace {
    /// The repository that cargo was called in. Not the one that this program was built from: two checkouts may share
    /// a target folder, and with it this program.
    pub fn locate() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
        let root = Path::new(&package).ancestors().nth(2);
        let root = root.context("crate/xtask is not two folders below the repository's root")?.to_path_buf();
        Ok(Self { root })
    }

    /// A command that runs in the root.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// `cargo` with these arguments.
    pub fn cargo(&self, args: &[&str]) -> Command {
        let mut command = self.command("cargo");
        command.args(args);
        command
    }

    /// A command in a folder below the root, by way of `env` so that the printed line can be typed.
    pub fn within(&self, folder: &str) -> Command {
        let mut command = self.command("env");
        command.args(["-C", folder]);
        command
    }

    /// What cargo says of the packages.
    pub fn metadata(&self) -> Result<serde_json::Value> {
        let mut command = self.cargo(&["metadata", "--no-deps", "--format-version", "1"]);
        let line = command_line(&command);
        let output = command.output().with_context(|| format!("could not start: {line}"))?;
        ensure!(output.status.success(), "failed: {line}\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Where cargo puts what it builds.
    pub fn target_folder(&self) -> Result<PathBuf> {
        Ok(self.metadata()?["target_directory"].as_str().context("cargo metadata names no target folder")?.into())
    }
}

/// Prints the command line, runs it with its output in plain sight, and fails with the same line.
pub fn run(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    run_as(command, &line)
}

/// [`run`], and what the command printed on its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    println!("$ {line}");
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("could not start: {line}"))?;
    ensure!(output.status.success(), "failed ({}): {line}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// [`run`], for a command that has been printed somewhere in another form than its arguments.
pub fn run_as(command: &mut Command, line: &str) -> Result<()> {
    println!("$ {line}");
    let status = command.status().with_context(|| format!("could not start: {line}"))?;
    ensure!(status.success(), "failed ({status}): {line}");
    Ok(())
}

/// What to type to run it again: its variables, the program, its arguments.
pub fn command_line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let variables = variables.map(|(name, value)| format!("{}={}", name.display(), quoted(value)));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_typed_again() {
        let mut command = Command::new("cargo");
        command.env("A", "x y").env_remove("B").args(["run", "a star's", ""]);
        assert_eq!(command_line(&command), r"A='x y' cargo run 'a star'\''s' ''");
    }

    #[test]
    fn a_failure_names_the_command_line() {
        let quiet = std::process::Stdio::null();
        let error = run(Command::new("cargo").arg("no-such-command").stderr(quiet)).unwrap_err().to_string();
        assert!(error.contains("cargo no-such-command"), "{error}");
    }
}
