//! Finds the paths in Rust source that lead through the crate's root. It reads tokens, not grammar: enough to tell code
//! from comments and text, to follow `{…}` groups, and to know how deep in inline modules a `super` stands.

use std::collections::BTreeMap;

/// A name directly below the crate's root, and where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub line: usize,
    pub name: String,
}

/// The names that a file refers to below the root. `depth` is how many `super`s lead from the file to the root.
pub fn references(source: &str, depth: usize) -> Vec<Reference> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    // For each open brace, whether it belongs to an inline `mod name {`, below which one more `super` is needed.
    let mut braces = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        match tokens[index].text.as_str() {
            "{" => braces.push(index >= 2 && tokens[index - 2].text == "mod"),
            "}" => drop(braces.pop()),
            "crate" | "super" | "self" if !follows_path(&tokens, index) => {
                let depth = depth + braces.iter().filter(|is_module| **is_module).count();
                let start = root_path_end(&tokens, index, depth);
                if let Some(start) = start {
                    let mut leaves = Vec::new();
                    index = use_tree(&tokens, start, &[], &mut leaves);
                    found.extend(leaves.into_iter().map(|leaf| leaf.path[0].clone()));
                    continue;
                }
            }
            _ => {}
        }
        index += 1;
    }
    found.dedup();
    found
}

/// What `lib.rs` re-exports: the public name and the module it comes from.
pub fn exports(source: &str) -> BTreeMap<String, String> {
    let tokens = tokens(source);
    let mut exports = BTreeMap::new();
    for start in (0..tokens.len()).filter(|&index| tokens[index].text == "use").map(|index| index + 1) {
        let mut leaves = Vec::new();
        use_tree(&tokens, start, &[], &mut leaves);
        for Leaf { path, name } in leaves {
            let module = path.iter().find(|part| part.name != "crate" && part.name != "self");
            exports.extend(module.map(|module| (name, module.name.clone())));
        }
    }
    exports
}

/// Whether this token goes on with a path: `self::super` and `a::self` are judged from where they begin.
fn follows_path(tokens: &[Token], index: usize) -> bool {
    index > 0 && tokens[index - 1].text == "::"
}

/// Where the names below the root begin, if the path that starts here leads there.
fn root_path_end(tokens: &[Token], start: usize, depth: usize) -> Option<usize> {
    let mut index = start;
    let mut climbed = 0;
    while tokens.get(index + 1).is_some_and(|token| token.text == "::") {
        match tokens[index].text.as_str() {
            "crate" => return Some(index + 2),
            "super" => climbed += 1,
            "self" => {}
            _ => break,
        }
        index += 2;
    }
    (climbed >= depth).then_some(index)
}

/// One name that a path or a `use` leads to.
struct Leaf {
    path: Vec<Reference>,
    name: String,
}

/// Reads `a::b`, `a::{b, c as d}` or `*` and returns where it ends.
fn use_tree(tokens: &[Token], start: usize, prefix: &[Reference], leaves: &mut Vec<Leaf>) -> usize {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let mut path = prefix.to_vec();
    let mut index = start;
    loop {
        if text(index) == "{" {
            index += 1;
            while !["}", ""].contains(&text(index)) {
                let end = if text(index) == "," { index } else { use_tree(tokens, index, &path, leaves) };
                index = end.max(index + 1);
            }
            return index + 1;
        }
        let Some(token) = tokens.get(index).filter(|token| token.is_name() || token.text == "*") else { break };
        path.push(Reference { line: token.line, name: token.text.clone() });
        index += 1;
        if text(index) != "::" {
            break;
        }
        index += 1;
    }
    if let Some(last) = path.last() {
        let renamed = text(index) == "as";
        let name = if renamed { text(index + 1).to_owned() } else { last.name.clone() };
        index += if renamed { 2 } else { 0 };
        leaves.push(Leaf { path, name });
    }
    index
}

struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Names, `::` and single signs; comments, text and lifetimes are left out.
fn tokens(source: &str) -> Vec<Token> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = match skipped(rest) {
            Some(length) => length,
            None => {
                let length = match first {
                    c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
                    ':' if rest.starts_with("::") => 2,
                    c => c.len_utf8(),
                };
                tokens.push(Token { line, text: rest[..length].to_owned() });
                length
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of what the source begins with, if it is no code: space, a comment, text, a character, a lifetime.
fn skipped(source: &str) -> Option<usize> {
    let first = source.chars().next()?;
    if first.is_whitespace() {
        return Some(first.len_utf8());
    }
    if source.starts_with("//") {
        return Some(source.find('\n').unwrap_or(source.len()));
    }
    if source.starts_with("/*") {
        return Some(block_comment(source));
    }
    let text = source.strip_prefix(['b', 'c']).unwrap_or(source);
    let prefix = source.len() - text.len();
    if text.starts_with('"') || (text.starts_with('\'') && is_character(text)) {
        return Some(prefix + quoted(text));
    }
    if let Some(lifetime) = source.strip_prefix('\'') {
        return Some(1 + lifetime.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(lifetime.len()));
    }
    let raw = text.strip_prefix('r')?;
    let marks = raw.len() - raw.trim_start_matches('#').len();
    let body = raw[marks..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(marks));
    let length = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(source.len() - body.len() + length)
}

/// `'x'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(source: &str) -> bool {
    let mut chars = source.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

/// The length of text or a character, with both its quotes.
fn quoted(source: &str) -> usize {
    let quote = source.chars().next();
    let mut escaped = false;
    for (at, c) in source.char_indices().skip(1) {
        if !escaped && Some(c) == quote {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    source.len()
}

/// Block comments nest.
fn block_comment(source: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        match (rest.starts_with("/*"), rest.starts_with("*/")) {
            (true, _) => (depth, at) = (depth + 1, at + 2),
            (_, true) => (depth, at) = (depth - 1, at + 2),
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            return at;
        }
    }
    source.len()
}
