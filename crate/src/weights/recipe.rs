//! Which tensor is stored in which format: data in the manifest, not code.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
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

/// How the weights of the blocks are stored; the sensitive rest keeps more bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quant {
    /// 4 bits, symmetric.
    Q4,
    /// 4 bits with a minimum.
    Q4a,
    /// 8 bits.
    Q8,
    /// Half precision.
    F16,
    /// As trained.
    F32,
}

impl Quant {
    /// By the names that are typed, in this order.
    pub const NAMED: [(&'static str, Self); 5] =
        [("q4", Self::Q4), ("q4a", Self::Q4a), ("q8", Self::Q8), ("f16", Self::F16), ("f32", Self::F32)];

    fn format(self) -> Format {
        match self {
            Self::Q4 => Format::Q4B32,
            Self::Q4a => Format::Q4AB32,
            Self::Q8 => Format::Q8B32,
            Self::F16 => Format::F16,
            Self::F32 => Format::F32,
        }
    }

    /// The formats by name: blocks as asked; modulation, embedders and the token table at 8 bits at least; the
    /// autoencoder, norms, biases and whatever is narrow at 16.
    pub fn recipe(self) -> Vec<Rule> {
        let rule = |pattern: &str, format| Rule { pattern: pattern.to_owned(), format };
        if matches!(self, Self::F16 | Self::F32) {
            return vec![rule("*", self.format())];
        }
        let names = ["denoiser.layers.*.attention.w*.weight", "denoiser.layers.*.feed_forward.*.weight"];
        let text = ["text.layers.*_proj.weight"];
        let sensitive =
            ["denoiser.*modulation.linear.weight", "denoiser.*_embedder.linear*.weight", "text.embed_tokens.weight"];
        let blocks = names.iter().chain(&text).map(|name| rule(name, self.format()));
        let sensitive = sensitive.iter().map(|name| rule(name, Format::Q8B32));
        blocks.chain(sensitive).chain([rule("*", Format::F16)]).collect()
    }
}

impl std::str::FromStr for Quant {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, quant)| quant).ok_or_else(|| {
            let names = Self::NAMED.map(|(name, _)| name).join(", ");
            Error::bad_request("quantization").expected(format!("one of {names}")).found(name)
        })
    }
}

impl std::fmt::Display for Quant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = Self::NAMED.into_iter().find(|(_, quant)| quant == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
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

    #[test]
    fn sensitive_tensors_keep_eight_bits_or_more() {
        let rules = Quant::Q4.recipe();
        let bits = |name: &str| format_for(&rules, name).map(Format::bits_per_weight);
        assert_eq!(format_for(&rules, "denoiser.layers.3.attention.wk_y.weight"), Some(Format::Q4B32));
        assert_eq!(format_for(&rules, "denoiser.layers.3.feed_forward.w2.weight"), Some(Format::Q4B32));
        assert_eq!(format_for(&rules, "text.layers.0.self_attn.q_proj.weight"), Some(Format::Q4B32));
        for name in [
            "denoiser.layers.3.modulation.linear.weight",
            "denoiser.x_embedder.weight",
            "decoders.image.decoder.conv_in.weight",
        ] {
            assert!(bits(name) >= Some(8.0), "{name}: {:?}", bits(name));
        }
    }
}
