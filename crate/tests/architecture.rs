//! Who may know whom: a module imports only from the rows above its own, and nothing sideways. So the tensors never
//! learn of the command line, the sampler never of a model, and any row can be read with those above it alone.
//!
//! Every path through the crate's root counts, in a `use` or in the middle of a line, as does `super::` that climbs to
//! it; what `lib.rs` re-exports counts as the module it comes from. Files named `tests.rs` may look anywhere. The
//! program, the toybox and the browser's face are outside or below everything, and may know all of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/paths.rs"]
mod paths;

use paths::{Reference, exports, references};

const ROWS: [&[&str]; 12] = [
    &["error"],
    &["quant", "request"],
    &["device", "progress"],
    &["kernels"],
    &["weights"],
    &["nn"],
    &["model", "text", "decode", "sampler"],
    &["modality", "parts"],
    &["output", "plan"],
    &["pipeline", "convert", "check"],
    &["bench"],
    &["wasm"],
];

/// The sampler stands beside the model but knows tensors and a closure only: it must run with any velocity.
const SAMPLER_KNOWS: usize = 1;

/// Why `from` must not name `to`, if it must not.
fn objection(from: &str, to: &str) -> Option<String> {
    let row = |module: &str| ROWS.iter().position(|row| row.contains(&module));
    let (Some(from_row), Some(to_row)) = (row(from), row(to)) else {
        let stranger = if row(from).is_none() { from } else { to };
        return Some(format!("`{stranger}` has no row in {}", file!()));
    };
    let lowest = if from == "sampler" { SAMPLER_KNOWS + 1 } else { from_row };
    let allowed = from == to || to_row < lowest;
    (!allowed).then(|| format!("row {from_row}, may know rows 0..{lowest}; `{to}` is in row {to_row}"))
}

/// Every forbidden edge of one file: `file:line: from -> to: why`.
fn violations(file: &Path, source: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let places: Vec<_> = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let from = places[0].as_str();
    // `a.rs` and `a/mod.rs` are one `super` below the root, `a/b.rs` two.
    let depth = places.len() - usize::from(places.last().is_some_and(|last| last == "mod"));
    let forbidden = |Reference { line, name }: Reference| {
        let to = exports.get(&name).unwrap_or(&name);
        let why = objection(from, to)?;
        Some(format!("crate/src/{}:{line}: {from} -> {to}: {why}", file.display()))
    };
    references(source, depth).into_iter().filter_map(forbidden).collect()
}

/// All `.rs` files below a folder, but for tests.
fn source_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("a folder that can be listed").path()) {
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn modules_import_only_from_rows_above() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crate/src");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let exports = exports(&read(&root.join("lib.rs")));
    let files = source_files(&root);
    assert!(files.len() > 1, "{}: no modules found", root.display());
    let mut violations = Vec::new();
    for path in files {
        let file = path.strip_prefix(&root).expect("a file below the root");
        if file == Path::new("lib.rs") {
            continue;
        }
        let module = file.with_extension("").iter().next().expect("a name").to_string_lossy().into_owned();
        if let Some(why) = objection(&module, &module) {
            violations.push(format!("crate/src/{}:1: {why}", file.display()));
        }
        violations.extend(self::violations(file, &read(&path), &exports));
    }
    assert!(violations.is_empty(), "forbidden edges:\n{}", violations.join("\n"));
}

/// The edges found in a file of this name, as `line to`.
fn found(file: &str, source: &str) -> Vec<String> {
    let exports = exports("pub use error::{Error, Result};\npub use self::pipeline::Pipeline as Pipe;");
    let edge = |text: String| {
        let mut parts = text.split(": ").map(str::to_owned);
        let line = parts.next().and_then(|place| Some(place.rsplit(':').next()?.to_owned()));
        let to = parts.next().and_then(|edge| Some(edge.rsplit(" -> ").next()?.to_owned()));
        format!("{} {}", line.expect("a line"), to.expect("an edge"))
    };
    violations(Path::new(file), source, &exports).into_iter().map(edge).collect()
}

#[test]
fn a_forbidden_edge_is_found_however_it_is_written() {
    assert_eq!(found("nn/linear.rs", "use crate::error::Error;\nuse crate::model::FlagDit;"), ["2 model"]);
    assert_eq!(
        found("nn.rs", "use crate::{\n  quant::{self, Block},\n  text::Tokenizer,\n  output,\n};"),
        ["3 text", "4 output"]
    );
    assert_eq!(found("nn.rs", "fn f() -> crate::modality::Image { todo!() }"), ["1 modality"]);
    assert_eq!(found("weights/mod.rs", "use super::model;\nuse super::error;"), ["1 model"]);
    assert_eq!(found("weights/file.rs", "use super::super::model;\nuse super::model;"), ["1 model"]);
    assert_eq!(
        found("weights.rs", "mod a {\n use super::super::nn;\n use super::nn;\n}\nuse super::nn;"),
        ["2 nn", "5 nn"]
    );
    assert_eq!(found("device.rs", "macro_rules! m { () => { $crate::kernels::f() } }"), ["1 kernels"]);
    assert_eq!(found("quant.rs", "pub(in crate::progress) struct A;"), ["1 progress"]);
}

#[test]
fn sideways_and_unknown_are_forbidden_and_the_sampler_knows_least() {
    assert_eq!(found("text.rs", "use crate::decode::Vae;"), ["1 decode"]);
    assert_eq!(
        found("sampler/solver.rs", "use crate::request::R;\nuse crate::nn::Linear;\nuse crate::device::D;"),
        ["2 nn", "3 device"]
    );
    assert_eq!(found("nn.rs", "use crate::helpers::f;\nuse crate::*;"), ["1 helpers", "2 *"]);
    assert_eq!(found("nn.rs", "use crate::Pipe;\nuse crate::{Error, Result};"), ["1 pipeline"]);
    assert!(objection("helpers", "helpers").is_some());
}

#[test]
fn allowed_edges_comments_and_text_are_left_alone() {
    assert!(
        found("pipeline.rs", "use crate::{error::Error, modality, model::FlagDit, pipeline::x, Result};").is_empty()
    );
    assert!(
        found("sampler/noise.rs", "use crate::request::Seed;\nuse super::solver;\nuse crate::sampler::solver;")
            .is_empty()
    );
    let quiet = "//! crate::wasm\n/* crate::wasm /* crate::wasm */ crate::wasm */\npub(crate) fn f<'a>(c: &'a str) -> char {\n\
                 let _ = (\"\\\"crate::wasm\", r#\"crate::wasm \" \"#, b\"crate::wasm\", '\"', '\\'');\n'x' }";
    assert!(found("error.rs", quiet).is_empty());
    // Nothing of the above may have swallowed what follows it.
    assert_eq!(found("error.rs", &format!("{quiet}\nuse crate::wasm::X;")), ["6 wasm"]);
}
