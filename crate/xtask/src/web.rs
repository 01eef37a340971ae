//! `cargo xtask web`: the engine for browsers, the npm package around it, and the page.
//!
//! ```text
//! crate/src ─ cargo ─ wasm-bindgen ─ wasm-opt ─► web/src/engine/{cpu,gpu} ─ tsc ─► web/dist (the package) ─ Vite ─► web/site
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::install::succeeds;
use crate::wasm_parsers;
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

/// The engine without and with WebGPU, and the features that make it: a page loads the one that its visitor can use.
const ENGINES: [(&str, &str); 2] = [("cpu", "web,cpu"), ("gpu", "web,gpu")];
/// The most that an engine may have as a server sends it, in bytes.
const MAX_BROTLI: usize = 1_780_000;

/// Builds everything, and prints how large it became.
pub fn run(workspace: &Workspace) -> Result<()> {
    dependencies(workspace, "web")?;
    for (name, features) in ENGINES {
        engine(workspace, features, &workspace.root.join("web/src/engine").join(name))?;
    }
    state_sizes(workspace)?;
    // All of it is packed: nothing of an earlier build may be left.
    let package = workspace.root.join("web/dist");
    if package.exists() {
        fs::remove_dir_all(&package).with_context(|| package.display().to_string())?;
    }
    workspace::run(workspace.within("web").args(["npm", "run", "build", "--silent"]))?;
    for (name, _) in ENGINES {
        let [from, to] = ["web/src/engine", "web/dist/engine"].map(|folder| workspace.root.join(folder).join(name));
        copy_folder(&from, &to)?;
    }
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

/// Builds an engine into a folder.
pub fn engine(workspace: &Workspace, features: &str, folder: &Path) -> Result<()> {
    let target = workspace.target_folder()?;
    // All engines have one name there, which cargo does not tell apart: what is left may be another one.
    let left = target.join(TARGET).join("web/deps/flagdit.wasm");
    if left.exists() {
        fs::remove_file(&left).with_context(|| left.display().to_string())?;
    }
    let mut build = wasm_toolchain::cargo(workspace, TARGET)?;
    build.args(["--package", "flagdit", "--lib", "--crate-type", "cdylib", "--profile", "web"]);
    build.args(["--target", TARGET, "--no-default-features", "--features", features]);
    let is_gpu = features.split(',').any(|feature| feature == "gpu");
    if is_gpu {
        // Its kernels are shaders: what is left to the processor takes no time. The linker optimises as the last crate is.
        build.args(["--", "-C", "opt-level=z"]);
    }
    workspace::run(&mut build)?;
    let mut bindgen = workspace.command(wasm_toolchain::bindgen(workspace, &target.join("tools"))?);
    bindgen.args(["--target", "web", "--out-name", "flagdit", "--out-dir"]).arg(folder);
    workspace::run(bindgen.arg(target.join(TARGET).join("web/flagdit.wasm")))?;
    let wasm = folder.join("flagdit_bg.wasm");
    if is_gpu {
        let (trapped, count) = wasm_parsers::trap(&fs::read(&wasm)?)?;
        ensure!(count > 0, "{}: CubeCL's parsers were not found by their names", wasm.display());
        println!("{}: {count} parsers taken out", wasm.display());
        fs::write(&wasm, trapped)?;
    }
    // npm's, because distributions have versions that spoil the table of references. The compiler has optimised already:
    // names go, and what nothing calls, and no more, since -O1 takes two minutes to save half a percent of the compressed
    // bytes.
    let mut optimize = workspace.within("web");
    optimize.args(["npx", "wasm-opt"]).arg(&wasm).arg("-o").arg(&wasm);
    optimize.args(["-O0", "--remove-unused-module-elements", "--strip-debug", "--strip-producers"]);
    workspace::run(optimize.args(WASM_FEATURES))
}

/// For whoever wants to know before it is downloaded.
fn state_sizes(workspace: &Workspace) -> Result<()> {
    let folder = workspace.root.join("web/src/engine");
    let mut text = "/** Bytes of the engines' files; servers that compress send about a fifth. */\n".to_owned();
    text += "export const ENGINE_BYTES = {\n";
    for (name, _) in ENGINES {
        text += &format!("  {name}: {},\n", fs::metadata(folder.join(name).join("flagdit_bg.wasm"))?.len());
    }
    fs::write(folder.join("sizes.ts"), text + "};\n").context("sizes.ts")
}

/// Copies a folder.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    copy_folder_but(from, to, &[])
}

/// Copies a folder, without what is called one of `left_out` anywhere in it.
pub fn copy_folder_but(from: &Path, to: &Path, left_out: &[&str]) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if left_out.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_folder_but(&entry.path(), &target, left_out)?;
        } else {
            // A copy of what may not be written may not be written either, but it may go.
            if target.exists() {
                fs::remove_file(&target)?;
            }
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Raw, and as a server sends it; refuses an engine that has grown too large.
fn sizes(workspace: &Workspace) -> Result<()> {
    const SCRIPT: &str = "const {brotliCompressSync: b} = require('zlib'), f = require('fs').readFileSync(process.argv[1]); \
                          console.log(f.length, b(f).length)";
    for (name, _) in ENGINES {
        for file in ["flagdit_bg.wasm", "flagdit.js"].map(|file| format!("web/dist/engine/{name}/{file}")) {
            let output = workspace.command("node").args(["-e", SCRIPT, &file]).output()?;
            let text = String::from_utf8(output.stdout)?;
            let sizes: Vec<usize> = text.split_whitespace().filter_map(|size| size.parse().ok()).collect();
            let [raw, brotli] = sizes[..] else { bail!("node did not measure {file}") };
            println!("{file}: {:.2} MB, {:.2} MB as brotli", raw as f64 / 1e6, brotli as f64 / 1e6);
            ensure!(brotli <= MAX_BROTLI, "{file}: expected at most {MAX_BROTLI} bytes as brotli, found {brotli}");
        }
    }
    Ok(())
}
