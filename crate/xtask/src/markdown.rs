//! The little of Markdown that the README checks need: fenced blocks, what each is called, what heading it stands under.

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// The last heading before it, without its `#`s.
    pub heading: &'a str,
    /// What follows the opening fence, such as `sh test`.
    pub info: &'a str,
    /// Its lines, each with its number in the file.
    pub lines: Vec<(usize, &'a str)>,
}

/// All blocks between ``` fences, in order. A block that is never closed ends with the file, as it does on a page.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut heading = "";
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(info) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push(Block { heading, info: info.trim(), lines: Vec::new() });
            }
        } else if let Some(block) = blocks.last_mut().filter(|_| inside) {
            block.lines.push((index + 1, line));
        } else if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_in_a_block_is_no_heading() {
        let text = "# One\n```sh test\n# a comment\nls\n```\n## Two\n```text\nx\n```\n";
        let first = Block { heading: "One", info: "sh test", lines: vec![(3, "# a comment"), (4, "ls")] };
        let second = Block { heading: "Two", info: "text", lines: vec![(8, "x")] };
        assert_eq!(blocks(text), [first, second]);
    }
}
