//! Every shader is valid WGSL with one compute entry point `main`; those in `shaders/shared/` begin several of them and have
//! none. naga says so without a GPU, and names file, line and column where it does not agree.

use std::fs;
use std::path::{Path, PathBuf};

use naga::ShaderStage;
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// What is wrong with a shader, if anything is. The path decides whether it is a kernel or shared.
fn objection(path: &Path, source: &str) -> Option<String> {
    let name = path.display().to_string();
    let module = match naga::front::wgsl::parse_str(source) {
        Ok(module) => module,
        Err(error) => return Some(error.emit_to_string_with_path(source, &name)),
    };
    // All capabilities: whether the adapter at hand has them is decided when a kernel is chosen, not here.
    if let Err(error) = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module) {
        return Some(error.emit_to_string_with_path(source, &name));
    }
    let entries: Vec<_> = module.entry_points.iter().map(|entry| (entry.stage, entry.name.as_str())).collect();
    let is_shared = path.components().any(|part| part.as_os_str() == "shared");
    let expected = if is_shared { Vec::new() } else { vec![(ShaderStage::Compute, "main")] };
    (entries != expected).then(|| format!("{name}: expected the entry points {expected:?}, found {entries:?}"))
}

/// All `.wgsl` files below a folder; none if there is no such folder.
fn shaders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("a folder that can be listed").path()) {
        if path.is_dir() {
            files.extend(shaders(&path));
        } else if path.extension().is_some_and(|ending| ending == "wgsl") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_shader_is_valid_in_every_variant() {
    let sources = [flagdit::kernels::sources(), flagdit::kernels::sources_in_half()].concat();
    let objections: Vec<_> = sources.iter().filter_map(|(name, source)| objection(Path::new(name), source)).collect();
    assert!(objections.is_empty(), "{}", objections.join("\n"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in shaders(&root.join("shaders")) {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_launched = sources.iter().any(|(_, source)| source.ends_with(&text));
        assert!(is_launched || path.components().any(|part| part.as_os_str() == "shared"), "nothing launches {path:?}");
    }
}

const KERNEL: &str = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n\
                      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] *= 2.0; }";
const FUNCTION: &str = "fn twice(x: f32) -> f32 { return 2.0 * x; }";

#[test]
fn a_good_kernel_and_a_good_function_pass() {
    assert_eq!(objection(Path::new("shaders/twice.wgsl"), KERNEL), None);
    assert_eq!(objection(Path::new("shaders/shared/twice.wgsl"), FUNCTION), None);
}

#[test]
fn what_is_wrong_is_reported_with_its_place() {
    let unfinished = objection(Path::new("shaders/bad.wgsl"), "fn main( {").expect("a syntax error");
    assert!(unfinished.contains("shaders/bad.wgsl:1:10"), "{unfinished}");
    // Parses, but writes to what it may only read: for the validator to find.
    let read_only = KERNEL.replace("read_write", "read");
    let message = objection(Path::new("shaders/bad.wgsl"), &read_only).expect("a write to a read-only buffer");
    assert!(message.contains("shaders/bad.wgsl:2"), "{message}");
}

#[test]
fn entry_points_are_one_main_or_in_shared_none() {
    let found = |path: &str, source: &str| objection(Path::new(path), source).expect("an objection");
    assert!(found("shaders/none.wgsl", FUNCTION).contains("found []"));
    assert!(found("shaders/name.wgsl", &KERNEL.replace("main", "run")).contains(r#""run""#));
    assert!(
        found("shaders/two.wgsl", &format!("{KERNEL}\n@compute @workgroup_size(1) fn other() {{}}"))
            .contains(r#""other""#)
    );
    assert!(found("shaders/stage.wgsl", "@fragment fn main() {}").contains("Fragment"));
    assert!(found("shaders/shared/entry.wgsl", KERNEL).contains("expected the entry points []"));
}
