//! What the tests need beyond cargo: Mesa's software Vulkan driver (lavapipe), rustfmt and clippy.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace::{self, Workspace, command_line};

const ICD_FOLDERS: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
const PACKAGES: [&str; 2] = ["mesa-vulkan-drivers", "libvulkan1"];

/// Installs what is missing, or says in one sentence what to install.
pub fn run(workspace: &Workspace) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        ensure_component(workspace, subcommand, component)?;
    }
    ensure_lavapipe(workspace)
}

/// The file that tells the Vulkan loader about lavapipe, if it is installed.
pub fn lavapipe_icd() -> Option<PathBuf> {
    ICD_FOLDERS.iter().find_map(|folder| icd_in(Path::new(folder)))
}

/// This machine's own driver where the folder has several (Debian installs one for each foreign architecture).
fn icd_in(folder: &Path) -> Option<PathBuf> {
    let is_icd = |name: &str| name.starts_with("lvp_icd") && name.ends_with(".json");
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| is_icd(name)).collect();
    names.sort_by_key(|name| (!name.contains(env::consts::ARCH), name.clone()));
    names.first().map(|name| folder.join(name))
}

fn ensure_component(workspace: &Workspace, subcommand: &str, component: &str) -> Result<()> {
    if succeeds(&mut workspace.cargo(&[subcommand, "--version"])) {
        println!("{component}: installed");
        return Ok(());
    }
    workspace::run(workspace.command("rustup").args(["component", "add", component]))
}

fn ensure_lavapipe(workspace: &Workspace) -> Result<()> {
    if let Some(icd) = lavapipe_icd() {
        println!("lavapipe: {}", icd.display());
        return Ok(());
    }
    if !cfg!(target_os = "linux") {
        println!("lavapipe: packaged for Linux only, the GPU tests see this machine's own adapters");
        return Ok(());
    }
    packages(workspace, "lavapipe", &PACKAGES)?;
    let icd = lavapipe_icd()
        .with_context(|| format!("{} left no lvp_icd*.json in {}", PACKAGES.join(" "), ICD_FOLDERS.join(" or ")))?;
    println!("lavapipe: {}", icd.display());
    Ok(())
}

/// Installs the distribution's packages that bring `what`; says what to type where this is somebody's own machine.
pub fn packages(workspace: &Workspace, what: &str, packages: &[&str]) -> Result<()> {
    ensure!(
        succeeds(Command::new("apt-get").arg("--version")),
        "{what} is missing and there is no apt-get: install your distribution's equivalent of {}",
        packages.join(" ")
    );
    let is_root = is_root();
    let mut update = apt(workspace, is_root, &["update"]);
    let mut install = apt(workspace, is_root, &["install", "-y", "--no-install-recommends"]);
    install.args(packages);
    if !is_root && env::var("CI").as_deref() != Ok("true") {
        bail!("{what} is missing: run `{} && {}`", command_line(&update), command_line(&install));
    }
    workspace::run(&mut update)?;
    workspace::run(&mut install)
}

fn apt(workspace: &Workspace, is_root: bool, args: &[&str]) -> Command {
    let mut command = workspace.command(if is_root { "apt-get" } else { "sudo" });
    // Apt needs no build folder, and a line to type should hold only what matters.
    command.env_remove("CARGO_TARGET_DIR");
    if is_root {
        command.env("DEBIAN_FRONTEND", "noninteractive");
    } else {
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
    command.args(args);
    command
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether a command can be started and ends well; what it prints is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_of_this_architecture_is_preferred() {
        let folder = env::temp_dir().join(format!("flagdit-icd-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(icd_in(&folder), None);
        let own = format!("lvp_icd.{}.json", env::consts::ARCH);
        for name in ["lvp_icd.a_foreign_one.json", "radeon_icd.json", &own] {
            fs::write(folder.join(name), "{}").unwrap();
        }
        assert_eq!(icd_in(&folder), Some(folder.join(own)));
        fs::remove_dir_all(&folder).unwrap();
    }
}
