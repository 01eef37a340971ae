//! `cargo xtask test`: every check in order, the cheap ones first; it stops at the first that fails.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::workspace::{self, Workspace};
use crate::{declared, e2e, install, readme_commands, readme_tree, web};

type Check = fn(&Workspace) -> Result<()>;

const STAGES: [(&str, Check); 10] = [
    ("install what is missing", install::run),
    ("every test is declared", declared::run),
    ("README: file tree", readme_tree::run),
    ("format", format),
    ("clippy", clippy),
    ("tests", tests),
    ("benches, each once", benches),
    ("README: commands", readme_commands::run),
    ("web", web::run),
    ("browser", e2e::run),
];

/// Runs the stages and closes with a table of what each took.
pub fn run(workspace: &Workspace) -> Result<()> {
    let started = Instant::now();
    let mut times = Vec::new();
    let mut outcome = Ok(());
    for (name, check) in STAGES {
        println!("\n=== {name} ===");
        let stage_started = Instant::now();
        outcome = check(workspace).context(name);
        times.push(stage_started.elapsed());
        println!("--- {name}: {:.1} s", stage_started.elapsed().as_secs_f64());
        if outcome.is_err() {
            break;
        }
    }
    println!("\n{}", summary(&times, outcome.is_ok(), started.elapsed()));
    outcome
}

/// One line a stage; of the stages that ran, all but perhaps the last have passed.
fn summary(times: &[Duration], passed: bool, total: Duration) -> String {
    let line = |name: &str, took: Option<&Duration>, outcome: &str| {
        let seconds = took.map_or_else(|| "-".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
        format!("{name:<26}{seconds:>10}  {outcome}\n")
    };
    let mut table = String::from("=== summary ===\n");
    for (index, (name, _)) in STAGES.iter().enumerate() {
        let outcome = match times.len() {
            ran if index >= ran => "not run",
            ran if index + 1 == ran && !passed => "FAILED",
            _ => "ok",
        };
        table += &line(name, times.get(index), outcome);
    }
    table + line("all", Some(&total), if passed { "ok" } else { "FAILED" }).trim_end()
}

fn format(workspace: &Workspace) -> Result<()> {
    workspace::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))
}

// Clippy and the tests name the same packages, profile and features: another choice would compile Burn once more.
fn clippy(workspace: &Workspace) -> Result<()> {
    workspace::run(&mut workspace.cargo(&[
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn tests(workspace: &Workspace) -> Result<()> {
    on_lavapipe(workspace.cargo(&["test", "--release", "--workspace"]))
}

/// Every kernel at the shapes of one denoiser, and lengths that take no time: that they run, and not how fast.
fn benches(workspace: &Workspace) -> Result<()> {
    on_lavapipe(workspace.cargo(&["bench", "--bench", "kernels", "--", "--test", "nano|conv2d"]))?;
    on_lavapipe(workspace.cargo(&["bench", "--bench", "scaling", "--", "cpu", "1", "64", "256"]))
}

/// What uses a GPU sees lavapipe and no other adapter: tolerances are stated for an adapter that every machine can have,
/// and a real GPU that happens to be there must not decide whether the tests pass.
fn on_lavapipe(mut command: Command) -> Result<()> {
    // The variable would also turn tests of the default device, which choose for themselves, to the software adapter.
    command.env_remove("CUBECL_WGPU_DEFAULT_DEVICE");
    if let Some(icd) = install::lavapipe_icd() {
        // Vulkan loaders before 1.3.207 know only the second name.
        command.env("VK_DRIVER_FILES", &icd).env("VK_ICD_FILENAMES", &icd);
    }
    workspace::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_passed_failed_and_not_run_apart() {
        let second = Duration::from_secs(1);
        let failed = summary(&[second, second], false, 2 * second);
        let outcomes: Vec<_> =
            failed.lines().skip(1).map(|line| line.rsplit("  ").next().unwrap_or_default()).collect();
        assert_eq!(outcomes[..3], ["ok", "FAILED", "not run"]);
        assert_eq!(outcomes.last(), Some(&"FAILED"));
        assert!(!summary(&[second; STAGES.len()], true, second).contains("FAILED"));
    }
}
