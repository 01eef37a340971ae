//! `cargo xtask web`: the engine for browsers, the npm package around it, and the page.
//!
//! ```text
//! crate/src ─ cargo ─ wasm-bindgen ─ wasm-opt ─► web/src/engine ─ tsc ─► web/dist (the package) ─ Vite ─► web/site
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::install::succeeds;
use crate::wasm_toolchain;
use crate::workspace::{self, Workspace};

const TARGET: &str = "wasm32-unknown-unknown";
/// What `.cargo/config.toml` lets the compiler use, and wasm-bindgen's references to JavaScript's values.
const WASM_FEATURES: [&str; 7] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Builds everything, and prints how large it became.
pub fn run(workspace: &Workspace) -> Result<()> {
    dependencies(workspace, "web")?;
    engine(workspace)?;
    workspace::run(workspace.within("web").args(["npm", "run", "build", "--silent"]))?;
    copy_folder(&workspace.root.join("web/src/engine"), &workspace.root.join("web/dist/engine"))?;
    workspace::run(workspace.within("web").args(["npx", "tsc", "--project", "app"]))?;
    workspace::run(workspace.within("web").args(["npm", "run", "site", "--silent", "--", "--logLevel", "warn"]))?;
    copy_folder(&workspace.root.join("weights-quantized/toybox"), &workspace.root.join("web/site/weights/toybox"))?;
    sizes(workspace)
}

/// What `package-lock.json` names, if it is not there already.
pub fn dependencies(workspace: &Workspace, folder: &str) -> Result<()> {
    let (lock, seen) = ("package-lock.json", "node_modules/.package-lock.json");
    let modified = |file: &str| fs::metadata(workspace.root.join(folder).join(file)).and_then(|data| data.modified());
    if matches!((modified(lock), modified(seen)), (Ok(lock), Ok(seen)) if lock <= seen) {
        return Ok(());
    }
    ensure!(succeeds(workspace.command("npm").arg("--version")), "npm is missing: install Node.js 20 or newer");
    workspace::run(workspace.command("npm").args(["ci", "--prefix", folder]))
}

fn engine(workspace: &Workspace) -> Result<()> {
    let mut build = wasm_toolchain::cargo(workspace, TARGET)?;
    build.args(["--package", "flagdit", "--lib", "--crate-type", "cdylib", "--profile", "web"]);
    build.args(["--target", TARGET, "--no-default-features", "--features", "web"]);
    workspace::run(&mut build)?;
    let target = workspace.target_folder()?;
    let mut bindgen = workspace.command(wasm_toolchain::bindgen(workspace, &target.join("tools"))?);
    bindgen.args(["--target", "web", "--out-name", "flagdit", "--out-dir", "web/src/engine"]);
    workspace::run(bindgen.arg(target.join(TARGET).join("web/flagdit.wasm")))?;
    // npm's, because distributions have versions that spoil the table of references. The compiler has optimised already:
    // what is left to gain is a tenth of the bytes, and -O3 takes minutes for it.
    let wasm = "src/engine/flagdit_bg.wasm";
    let mut optimize = workspace.within("web");
    optimize.args(["npx", "wasm-opt", wasm, "-o", wasm, "-O1", "--strip-debug", "--strip-producers"]);
    workspace::run(optimize.args(WASM_FEATURES))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Raw, and as a server sends it.
fn sizes(workspace: &Workspace) -> Result<()> {
    const SCRIPT: &str = "const {brotliCompressSync: b} = require('zlib'), f = require('fs').readFileSync(process.argv[1]); \
                          console.log(`${(f.length / 1e6).toFixed(2)} MB, ${(b(f).length / 1e6).toFixed(2)} MB as brotli`)";
    for file in ["web/dist/engine/flagdit_bg.wasm", "web/dist/engine/flagdit.js"] {
        let output = workspace.command("node").args(["-e", SCRIPT, file]).output()?;
        println!("{file}: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    Ok(())
}
