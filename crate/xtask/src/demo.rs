//! `cargo xtask demo`: the page on this machine.

use anyhow::Result;

use crate::web;
use crate::workspace::{self, Workspace};

/// Builds the page and serves it until Ctrl-C; Vite prints the address.
pub fn run(workspace: &Workspace, port: u16) -> Result<()> {
    web::run(workspace)?;
    let mut serve = workspace.within("web");
    serve.args(["npx", "vite", "preview", "app", "--host", "127.0.0.1", "--strictPort", "--port"]);
    workspace::run(serve.arg(port.to_string()))
}
