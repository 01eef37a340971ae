//! What each family is asked for where a request does not say (`model.md` §3, §5, §8).

use crate::{
    model::{FlagDitConfig, Variant},
    text::tokenizer::{NegativePrompt, TokenizerRules},
    weights::manifest::{Extrapolation, RopeExtrapolation, Sampling, Schedule, Sizes},
};

/// Pixels along each side that the released models were trained for.
const NATIVE: u32 = 1024;
/// Latent pixels along each side that the models of labels were trained for.
pub(super) const INPUT_SIZE: u32 = 32;
/// Guidance acts on the first channels only.
const GUIDED_CHANNELS: u32 = 3;
/// Where Lumina-Next goes over from dividing positions to a larger base.
const WATERSHED: f64 = 0.3;
/// Tokens of the longest sequence that Lumina-T2I was trained on, at an aspect of 4:1.
const T2I_TOKENS: u32 = 4224;

/// Upstream's demo of each family: 29 intervals are its 30 points.
pub(super) fn official(config: &FlagDitConfig, factor: usize) -> (Sizes, Sampling) {
    let multiple = (factor * config.patch_size) as u32;
    let side = NATIVE / multiple;
    let (base_tokens, rope) = match config.variant {
        Variant::Flag => (T2I_TOKENS, RopeExtrapolation::Ntk),
        Variant::Next => (side * side, RopeExtrapolation::TimeAware { watershed: WATERSHED }),
    };
    let extrapolation = Extrapolation { base_tokens, rope, below_native: false };
    let sampling = Sampling {
        steps: 29,
        solver: "midpoint".to_owned(),
        guidance: 4.0,
        time_shift: 4.0,
        schedule: Schedule::Uniform,
        guided_channels: Some(GUIDED_CHANNELS),
        prompt_prefix: None,
    };
    (sizes(side * multiple, multiple, extrapolation), sampling)
}

/// The models of labels (ImageNet at 256²), which draw latents of `input_size` × `input_size`. Upstream's `sample.py` leaves
/// the steps to dopri5; as many of midpoint's as the other families have are as near. Larger pictures are met as our own
/// models meet them: upstream has no rule.
pub(super) fn of_labels(config: &FlagDitConfig, factor: usize, input_size: u32) -> (Sizes, Sampling) {
    let native = input_size * factor as u32;
    let side = input_size / config.patch_size as u32;
    let sizes = Sizes {
        native: vec![native; 2],
        multiple: (factor * config.patch_size) as u32,
        max: vec![4 * native; 2],
        frames: None,
        trained_tokens: Some(side * side),
        extrapolation: None,
    };
    let sampling = Sampling {
        steps: 29,
        solver: "midpoint".to_owned(),
        guidance: 4.0,
        time_shift: 1.0,
        schedule: Schedule::Uniform,
        guided_channels: Some(GUIDED_CHANNELS),
        prompt_prefix: None,
    };
    (sizes, sampling)
}

/// What `LuminaPipeline` does: positions are divided at every size, and never anything else.
pub(super) fn diffusers(config: &FlagDitConfig, factor: usize, sample_size: u32, shift: f64) -> (Sizes, Sampling) {
    let native = sample_size * factor as u32;
    // The pipeline counts 16 pixels a token, whatever the patch.
    let side = (native / 16).max(2);
    let extrapolation = Extrapolation {
        base_tokens: side * side,
        rope: RopeExtrapolation::TimeAware { watershed: 1.0 },
        below_native: true,
    };
    let sampling = Sampling {
        steps: 30,
        solver: "euler".to_owned(),
        guidance: 4.0,
        time_shift: shift,
        schedule: Schedule::Diffusers,
        guided_channels: Some(GUIDED_CHANNELS),
        prompt_prefix: None,
    };
    (sizes(native, (factor * config.patch_size) as u32, extrapolation), sampling)
}

fn sizes(native: u32, multiple: u32, extrapolation: Extrapolation) -> Sizes {
    // As large as upstream's lists of resolutions go: four times the area, or a panorama of as much.
    let max = vec![4 * native; 2];
    Sizes {
        native: vec![native; 2],
        multiple,
        max,
        frames: None,
        trained_tokens: None,
        extrapolation: Some(extrapolation),
    }
}

/// LLaMA's ids for Lumina-T2I: begin and end; Gemma's for Lumina-Next: begin only. Upstream cuts Gemma's prompts at 256, and
/// LLaMA's in training at 128, later not at all.
pub(super) fn rules(variant: Variant) -> TokenizerRules {
    match variant {
        Variant::Flag => TokenizerRules { bos: Some(1), eos: Some(2), max_tokens: 1024, ..TokenizerRules::default() },
        Variant::Next => TokenizerRules { bos: Some(2), max_tokens: 256, ..TokenizerRules::default() },
    }
}

/// Those of `LuminaPipeline`.
pub(super) fn diffusers_rules() -> TokenizerRules {
    TokenizerRules { lowercase: true, negative: NegativePrompt::Diffusers, ..rules(Variant::Next) }
}
