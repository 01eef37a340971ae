//! The parts of the README that are written by a program: between `<!-- name -->` and `<!-- /name -->`.

use std::fs;

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;

/// Prints the text and puts it there.
pub fn write(workspace: &Workspace, name: &str, text: &str) -> Result<()> {
    println!("\n{text}");
    let path = workspace.root.join("README.md");
    let readme = fs::read_to_string(&path).context("README.md")?;
    let written = replaced(&readme, name, text)
        .with_context(|| format!("README.md: expected <!-- {name} --> and <!-- /{name} --> on lines of their own"))?;
    fs::write(path, written).context("README.md")
}

/// With another text between the markers of this name, if there are any.
fn replaced(readme: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let (before, rest) = readme.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    // A table is one only between empty lines.
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let readme = "# A\n<!-- x -->\nold\n<!-- /x -->\n<!-- y -->\n<!-- /y -->\nend\n";
        let once = replaced(readme, "x", "new\n").unwrap();
        assert_eq!(once, "# A\n<!-- x -->\n\nnew\n\n<!-- /x -->\n<!-- y -->\n<!-- /y -->\nend\n");
        assert_eq!(replaced(&once, "x", "new\n").unwrap(), once);
        assert_eq!(replaced(readme, "z", "new"), None);
    }
}
