//! Starts the program in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub const SUCCESS: i32 = 0;
pub const USAGE: i32 = 2;
pub const FILE: i32 = 3;
pub const DEVICE: i32 = 4;

/// A folder in which the program works; removed at the end.
pub struct Desk {
    folder: TempDir,
}

/// What a call left behind.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for temporary files") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file that can be written");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names of the files and folders on it.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder that can be listed");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The program, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flagdit"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        let output = self.command(args).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// `generate` with the model that ships, on the CPU, in two steps unless `args` say otherwise.
    pub fn generate(&self, args: &[&str]) -> Outcome {
        self.run(&generate(args).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A call that must fail: with this code, one line on stderr, and no file that was not there before.
    pub fn refusal(&self, code: i32, args: &[&str]) -> String {
        let before = self.names();
        let Outcome { code: found, stdout, stderr } = self.run(args);
        assert_eq!(found, Some(code), "{args:?}: {stderr}");
        assert_eq!(stdout, "", "{args:?}");
        assert_eq!(self.names(), before, "{args:?}");
        let line = stderr.strip_suffix('\n').unwrap_or_else(|| panic!("{args:?}: no line in {stderr:?}"));
        assert!(line.starts_with("error: ") && !line.contains('\n'), "{args:?}: {stderr:?}");
        line.to_owned()
    }

    /// [`Self::refusal`] of a [`Self::generate`].
    pub fn generate_refusal(&self, code: i32, args: &[&str]) -> String {
        let args = generate(args);
        let args: Vec<_> = args.iter().map(String::as_str).chain(["--quiet"]).collect();
        self.refusal(code, &args)
    }
}

/// The arguments of a `generate`, completed.
pub fn generate(args: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = [&["generate"], args].concat().into_iter().map(str::to_owned).collect();
    let toybox = toybox().display().to_string();
    for (option, value) in [("--model", toybox.as_str()), ("--device", "cpu"), ("--steps", "2")] {
        let is_recorded = option == "--steps" && args.contains(&"--from");
        if !args.contains(&option) && !is_recorded {
            all.extend([option.to_owned(), value.to_owned()]);
        }
    }
    all
}

/// The model that ships.
pub fn toybox() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights-quantized/toybox");
    assert!(path.join("manifest.json").is_file(), "{} holds no model: train it, see its README", path.display());
    path
}

impl Outcome {
    /// Itself, if the program was content.
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(SUCCESS), "{}", self.stderr);
        self
    }

    /// The lines of stdout as JSON.
    pub fn events(&self) -> Vec<Value> {
        let event = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.stdout.lines().map(event).collect()
    }
}
