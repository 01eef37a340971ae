//! The commands that the README promises work as they are printed: every line of its ```sh test blocks is run in the
//! root (`test` after the language is invisible on the page), and what it writes with `-o` must be a whole file.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::markdown;
use crate::workspace::{self, Workspace};

/// This very command, which the README also names.
const OURSELVES: &str = "cargo xtask test";

/// Runs what is marked, and fails if nothing is.
pub fn run(workspace: &Workspace) -> Result<()> {
    let text = fs::read_to_string(workspace.root.join("README.md")).context("README.md")?;
    let commands = commands(&text);
    ensure!(!commands.is_empty(), "README.md: no command to try; mark a block with ```sh test");
    for (number, command) in commands {
        println!("README.md:{number}");
        try_command(workspace, command)?;
    }
    Ok(())
}

/// The lines of the marked blocks that are commands, without [`OURSELVES`].
fn commands(text: &str) -> Vec<(usize, &str)> {
    let marked = markdown::blocks(text).into_iter().filter(|block| block.info == "sh test");
    let lines = marked.flat_map(|block| block.lines).map(|(number, line)| (number, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#') && !line.starts_with(OURSELVES)).collect()
}

fn try_command(workspace: &Workspace, line: &str) -> Result<()> {
    let outputs = outputs(line).into_iter().map(|name| workspace.root.join(name));
    let outputs = outputs.map(SetAside::new).collect::<Result<Vec<_>>>()?;
    workspace::run_as(workspace.command("sh").args(["-c", line]), line)?;
    for SetAside { path, .. } in &outputs {
        let bytes = fs::read(path).with_context(|| format!("was not written: {}", path.display()))?;
        let format =
            whole(&bytes).with_context(|| format!("is no complete PNG, GIF, GLB or WAV: {}", path.display()))?;
        println!("{}: {format}, {} bytes", path.display(), bytes.len());
    }
    Ok(())
}

/// The place of a file that a command writes, free while this lives. Whoever tried the README by hand has such a file;
/// it comes back afterwards, and what the command wrote goes.
struct SetAside {
    path: PathBuf,
    kept: Option<PathBuf>,
}

impl SetAside {
    fn new(path: PathBuf) -> Result<Self> {
        let mut kept = path.clone().into_os_string();
        kept.push(".set-aside");
        let kept = PathBuf::from(kept);
        // Left by a run that was killed: it is the user's file, and the only copy.
        ensure!(!kept.exists(), "in the way, move it: {}", kept.display());
        let exists = path.exists();
        if exists {
            fs::rename(&path, &kept).with_context(|| path.display().to_string())?;
        }
        Ok(Self { path, kept: exists.then_some(kept) })
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        // The file may not have been written; and a failure to tidy up must not hide why the command failed.
        let _ = fs::remove_file(&self.path);
        if let Some(kept) = &self.kept {
            let _ = fs::rename(kept, &self.path);
        }
    }
}

/// The files that the command line names after `-o`.
fn outputs(line: &str) -> Vec<String> {
    let words = words(line);
    words.windows(2).filter(|pair| pair[0] == "-o").map(|pair| pair[1].clone()).collect()
}

/// Splits as a shell would, as far as a README needs: quotes group, and `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The format of a file that is there to its end. Decoding it would take a dependency; the e2e tests do that.
fn whole(bytes: &[u8]) -> Option<&'static str> {
    let length = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => bytes.ends_with(b"\0\0\0\0IEND\xaeB`\x82").then_some("PNG"),
        [b'G', b'I', b'F', b'8', b'9', b'a', .., b';'] => Some("GIF"),
        [b'g', b'l', b'T', b'F', ..] => (length(8)? == bytes.len()).then_some("GLB"),
        [b'R', b'I', b'F', b'F', ..] => (length(4)? + 8 == bytes.len()).then_some("WAV"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_commands_run_and_never_ourselves() {
        let text = "```sh\nrm -rf /\n```\n```sh test\n# first\ncargo run -- generate \"x\" -o a.png  # writes\n\ncargo xtask test\n```\n";
        assert_eq!(commands(text), [(6, "cargo run -- generate \"x\" -o a.png  # writes")]);
    }

    #[test]
    fn outputs_are_found_in_the_command_line() {
        assert_eq!(outputs(r#"cargo run -- generate "red # -o b.png" -o star.png   # -o c.png"#), ["star.png"]);
        assert_eq!(outputs("generate 'it' -o 'two words.png'"), ["two words.png"]);
        assert!(outputs("cargo build").is_empty());
    }

    #[test]
    fn a_cut_file_is_none() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x20".to_vec();
        assert_eq!(whole(&png), None);
        png.extend(b"\0\0\0\0IEND\xaeB`\x82");
        assert_eq!(whole(&png), Some("PNG"));
        assert_eq!((whole(b"GIF89a..;"), whole(b"GIF89a..")), (Some("GIF"), None));
        assert_eq!((whole(b"glTF\x02\0\0\0\x0c\0\0\0"), whole(b"glTF\x02\0\0\0\x0d\0\0\0")), (Some("GLB"), None));
        assert_eq!((whole(b"RIFF\x04\0\0\0WAVE"), whole(b"RIFF\x05\0\0\0WAVE")), (Some("WAV"), None));
        assert_eq!(whole(b"<html>"), None);
    }

    #[test]
    fn a_file_of_the_users_comes_back() {
        let folder = std::env::temp_dir().join(format!("flagdit-readme-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("star.png");
        fs::write(&path, "the user's").unwrap();
        let guard = SetAside::new(path.clone()).unwrap();
        assert!(!path.exists());
        fs::write(&path, "the command's").unwrap();
        drop(guard);
        assert_eq!(fs::read(&path).unwrap(), b"the user's");
        fs::remove_dir_all(folder).unwrap();
    }
}
