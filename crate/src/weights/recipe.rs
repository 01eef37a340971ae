//! Which tensor is stored in which format: data in the manifest, not code.

use serde::{Deserialize, Serialize};

use crate::quant::Format;

/// Tensors whose name fits `pattern` are stored in `format`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A tensor's name, in which `*` stands for any run of characters, dots too.
    pub pattern: String,
    /// How such a tensor is stored.
    pub format: Format,
}

/// The format of the first rule that fits `name`.
pub fn format_for(recipe: &[Rule], name: &str) -> Option<Format> {
    recipe.iter().find(|rule| fits(&rule.pattern, name)).map(|rule| rule.format)
}

/// Each piece between stars is searched where the one before it ended; taking the first place is always right, because
/// a star swallows the rest. So the time is bounded, whatever the pattern.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rule = |pattern: &str, format| Rule { pattern: pattern.into(), format };
        let recipe = [
            rule("*.norm*.weight", Format::F16),
            rule("denoiser.layers.*", Format::Q4B32),
            rule("exact", Format::F32),
            rule("a*b*c*c", Format::Q8B32),
        ];
        for (name, format) in [
            ("denoiser.layers.0.norm1.weight", Some(Format::F16)),
            ("denoiser.layers.0.wq", Some(Format::Q4B32)),
            ("exact", Some(Format::F32)),
            ("exactly", None),
            ("abcc", Some(Format::Q8B32)),
            ("abc", None),
            ("acbxcxc", Some(Format::Q8B32)),
        ] {
            assert_eq!(format_for(&recipe, name), format, "{name}");
        }
        assert!(fits("*", "") && fits("**", "x") && !fits("a*a", "a"));
    }
}
