//! The built page and package in a real browser (`e2e/`), nothing mocked.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::workspace::{self, Workspace};
use crate::{install, web};

const CHROMIUM: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/bin/google-chrome-stable"];

/// Runs what `e2e/` holds. `web` was built before.
pub fn run(workspace: &Workspace) -> Result<()> {
    let browser = prepared(workspace)?;
    // What the tests make models of.
    workspace::run(&mut workspace.cargo(&["build", "--release", "--workspace", "--example", "checkpoint"]))?;
    let built = workspace.target_folder()?.join("release");
    // The tests look for all three.
    let mut test = workspace.within("e2e");
    test.args(["npx", "playwright", "test"]);
    test.env("CHROMIUM", browser).env("FLAGDIT", built.join("flagdit"));
    test.env("CHECKPOINT", built.join("examples/checkpoint"));
    workspace::run(&mut test)
}

/// The browser, installed if it is missing, as is what drives it.
pub fn prepared(workspace: &Workspace) -> Result<PathBuf> {
    web::dependencies(workspace, "e2e")?;
    match chromium() {
        Some(browser) => Ok(browser),
        None => {
            install::packages(workspace, "Chromium", &["chromium"])?;
            Ok(CHROMIUM[0].into())
        }
    }
}

/// The browser that `CHROMIUM` names, or the distribution's.
fn chromium() -> Option<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    named.or_else(|| CHROMIUM.iter().map(Path::new).find(|path| path.exists()).map(Path::to_path_buf))
}
