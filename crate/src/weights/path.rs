//! Which paths a manifest may name: plain relative ones, good in a folder on every system and in a URL.

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 255;

/// Whether `path` stays below the model's folder. Letters, digits, `.`, `_`, `-` and single `/` between names are
/// allowed; so there is no way up, no drive, no backslash and nothing that a URL would read as a query.
pub(super) fn is_safe(path: &str) -> bool {
    path.len() <= MAX_PATH_BYTES
        && path.split('/').all(|name| {
            !matches!(name, "" | "." | "..")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_safe() {
        for path in ["a.safetensors", "text/tokenizer.json", "a..b", "..."] {
            assert!(is_safe(path), "{path}");
        }
        let long = "a".repeat(256);
        for path in ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "./a", "a\\b", "C:a", "a?b", "a%2e", "ä", &long] {
            assert!(!is_safe(path), "{path}");
        }
    }
}
