//! What upstream calls the parameters of the three networks, and what they are called here.
//!
//! The differences are the tables below, and nothing else in the crate knows upstream's names. A function gets the name
//! of a tensor in an upstream file and answers with ours, or with `None` for a tensor that is left out on purpose.
//! Whatever a table does not mention keeps its name, so that a tensor nobody has heard of is refused by
//! [`Params::finish`](super::params::Params::finish) instead of being lost here.

/// Upstream's name of a tensor to ours.
pub type Rename = fn(&str) -> Option<String>;

/// Our name of a tensor to upstream's.
pub type Restore = fn(&str) -> String;

/// Parts of a name (whole ones, between dots) and what replaces them, in this order.
type Renames = &'static [(&'static str, &'static str)];

/// Lumina-T2I (`lumina_t2i/models/model.py`): numbers are places in `nn.Sequential`.
const FLAG_DIT: Renames = &[
    ("t_embedder.mlp.0", "t_embedder.linear_1"),
    ("t_embedder.mlp.2", "t_embedder.linear_2"),
    ("cap_embedder.0", "cap_embedder.norm"),
    ("cap_embedder.1", "cap_embedder.linear"),
    ("adaLN_modulation.1", "modulation.linear"),
    ("eol_token", "nextline_token"),
];

/// Lumina-Next (`lumina_next_t2i/models/model.py`): norms before and behind.
const NEXT_DIT: Renames = &[
    ("attention_norm1", "attention_norm"),
    ("attention_norm2", "attention_post_norm"),
    ("ffn_norm1", "ffn_norm"),
    ("ffn_norm2", "ffn_post_norm"),
];

/// Next-DiT of labels (`Next-DiT-ImageNet`, `TransformerBlockSandwichNorm2`): what has parameters is the norm behind.
const NEXT_DIT_OF_LABELS: Renames = &[("attention_norm", "attention_post_norm"), ("ffn_norm", "ffn_post_norm")];

/// Lumina-Next in diffusers (`LuminaNextDiT2DModel`).
const DIFFUSERS_NEXT_DIT: Renames = &[
    ("patch_embedder.proj", "x_embedder"),
    ("time_caption_embed.timestep_embedder", "t_embedder"),
    ("time_caption_embed.caption_embedder.0", "cap_embedder.norm"),
    ("time_caption_embed.caption_embedder.1", "cap_embedder.linear"),
    ("gate", "attention.gate"),
    ("attn1.to_q", "attention.wq"),
    ("attn1.to_k", "attention.wk"),
    ("attn1.to_v", "attention.wv"),
    ("attn1.norm_q", "attention.q_norm"),
    ("attn1.norm_k", "attention.k_norm"),
    ("attn2.to_k", "attention.wk_y"),
    ("attn2.to_v", "attention.wv_y"),
    ("attn2.norm_k", "attention.ky_norm"),
    ("attn2.to_out.0", "attention.wo"),
    ("norm1.norm", "attention_norm"),
    ("norm1.linear", "modulation.linear"),
    ("norm2", "attention_post_norm"),
    ("norm1_context", "attention_y_norm"),
    ("ffn_norm1", "ffn_norm"),
    ("ffn_norm2", "ffn_post_norm"),
    ("feed_forward.linear_1", "feed_forward.w1"),
    ("feed_forward.linear_2", "feed_forward.w2"),
    ("feed_forward.linear_3", "feed_forward.w3"),
    ("norm_out.linear_1", "final_layer.modulation.linear"),
    ("norm_out.linear_2", "final_layer.linear"),
];

/// Both attentions share their queries, and diffusers stores them twice.
const DIFFUSERS_TWICE: [&str; 2] = [".attn2.to_q.", ".attn2.norm_q."];

/// What the models of labels have instead of captions.
const LABELS: Renames = &[("y_embedder.embedding_table", "y_embedder")];

/// AutoencoderKL of diffusers.
const AUTOENCODER_KL: Renames = &[("to_out.0", "to_out")];

/// Older files of it, such as sd-vae-ft-mse.
const OLDER_AUTOENCODER_KL: Renames = &[("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out")];

/// What `LlamaForCausalLM` and `GemmaForCausalLM` put before the names of their model.
const LANGUAGE_MODEL_PREFIX: &str = "model.";
/// The projection to logits, which a text encoder has no use for.
const LANGUAGE_MODEL_HEAD: &str = "lm_head.weight";
/// The RoPE frequencies that older files carry; they follow from the configuration.
const ROPE_FREQUENCIES: &str = ".rotary_emb.inv_freq";

/// A tensor of Lumina-T2I's Flag-DiT. Nothing is left out.
pub fn flag_dit(name: &str) -> Option<String> {
    Some(renamed(name, FLAG_DIT))
}

/// A tensor of Lumina-Next's Next-DiT. Nothing is left out.
pub fn next_dit(name: &str) -> Option<String> {
    Some(renamed(&renamed(name, FLAG_DIT), NEXT_DIT))
}

/// A tensor of Lumina-Next in diffusers. The second copies of shared queries are left out.
pub fn diffusers_next_dit(name: &str) -> Option<String> {
    let is_copy = DIFFUSERS_TWICE.iter().any(|part| name.contains(part));
    (!is_copy).then(|| renamed(name, DIFFUSERS_NEXT_DIT))
}

/// A tensor of a Flag-DiT of labels. Nothing is left out.
pub fn flag_dit_of_labels(name: &str) -> Option<String> {
    Some(renamed(&renamed(name, FLAG_DIT), LABELS))
}

/// A tensor of a Next-DiT of labels. Nothing is left out.
pub fn next_dit_of_labels(name: &str) -> Option<String> {
    Some(renamed(&renamed(&renamed(name, FLAG_DIT), LABELS), NEXT_DIT_OF_LABELS))
}

/// A tensor of a LLaMA or Gemma of transformers, with or without its language-model head.
pub fn language_model(name: &str) -> Option<String> {
    if name == LANGUAGE_MODEL_HEAD || name.ends_with(ROPE_FREQUENCIES) {
        return None;
    }
    Some(name.strip_prefix(LANGUAGE_MODEL_PREFIX).unwrap_or(name).to_owned())
}

/// A tensor of an AutoencoderKL of diffusers, with new or old names for its attention. Nothing is left out.
pub fn autoencoder_kl(name: &str) -> Option<String> {
    Some(renamed(&renamed(name, AUTOENCODER_KL), OLDER_AUTOENCODER_KL))
}

/// The shape that a tensor of an AutoencoderKL has here: some files store the linear layers of its attention as 1×1
/// convolutions, `[out, in, 1, 1]`, which are the same numbers in the same order.
pub fn autoencoder_kl_shape<'a>(name: &str, shape: &'a [usize]) -> &'a [usize] {
    match shape {
        [_, _, 1, 1] if name.contains(".attentions.") => &shape[..2],
        _ => shape,
    }
}

/// What Lumina-T2I calls our tensor `name`.
pub fn original_flag_dit(name: &str) -> String {
    restored(name, FLAG_DIT)
}

/// What Lumina-Next calls our tensor `name`.
pub fn original_next_dit(name: &str) -> String {
    restored(&restored(name, NEXT_DIT), FLAG_DIT)
}

/// What a Flag-DiT of labels calls our tensor `name`.
pub fn original_flag_dit_of_labels(name: &str) -> String {
    restored(&restored(name, LABELS), FLAG_DIT)
}

/// What a Next-DiT of labels calls our tensor `name`.
pub fn original_next_dit_of_labels(name: &str) -> String {
    restored(&restored(&restored(name, NEXT_DIT_OF_LABELS), LABELS), FLAG_DIT)
}

/// What `LlamaForCausalLM` and `GemmaForCausalLM` call our tensor `name`.
pub fn original_language_model(name: &str) -> String {
    format!("{LANGUAGE_MODEL_PREFIX}{name}")
}

/// What diffusers calls our tensor `name` of an AutoencoderKL, in files of today.
pub fn original_autoencoder_kl(name: &str) -> String {
    restored(name, AUTOENCODER_KL)
}

fn renamed(name: &str, renames: Renames) -> String {
    let names = renames.iter().map(|(theirs, ours)| (*theirs, *ours));
    replaced(name, names)
}

/// What [`renamed`] made `name` of.
fn restored(name: &str, renames: Renames) -> String {
    replaced(name, renames.iter().rev().map(|(theirs, ours)| (*ours, *theirs)))
}

/// `name` with whole parts of it replaced, one pair after another.
fn replaced<'a>(name: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let dotted =
        pairs.fold(format!(".{name}."), |name, (old, new)| name.replace(&format!(".{old}."), &format!(".{new}.")));
    dotted[1..dotted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rename: Rename, cases: &[(&str, &str)]) {
        for (theirs, ours) in cases {
            assert_eq!(rename(theirs).as_deref(), Some(*ours), "{theirs}");
        }
    }

    /// Of names that upstream's files of today have.
    #[test]
    fn names_are_restored() {
        let pairs: [(Rename, Restore, &[&str]); 6] = [
            (flag_dit, original_flag_dit, &["layers.0.attention_norm.weight", "t_embedder.mlp.0.bias", "eol_token"]),
            (
                next_dit,
                original_next_dit,
                &["layers.0.attention_norm1.weight", "layers.0.ffn_norm2.weight", "cap_embedder.1.weight"],
            ),
            (flag_dit_of_labels, original_flag_dit_of_labels, &["y_embedder.embedding_table.weight"]),
            (
                next_dit_of_labels,
                original_next_dit_of_labels,
                &["layers.0.ffn_norm.weight", "final_layer.adaLN_modulation.1.bias"],
            ),
            (language_model, original_language_model, &["model.layers.0.self_attn.q_proj.weight", "model.norm.weight"]),
            (autoencoder_kl, original_autoencoder_kl, &["decoder.mid_block.attentions.0.to_out.0.bias"]),
        ];
        for (rename, restore, names) in pairs {
            for name in names {
                assert_eq!(rename(name).map(|ours| restore(&ours)).as_deref(), Some(*name));
            }
        }
    }

    #[test]
    fn the_flag_dit_is_renamed_part_by_part() {
        check(
            flag_dit,
            &[
                ("t_embedder.mlp.0.weight", "t_embedder.linear_1.weight"),
                ("t_embedder.mlp.2.bias", "t_embedder.linear_2.bias"),
                ("cap_embedder.0.bias", "cap_embedder.norm.bias"),
                ("cap_embedder.1.weight", "cap_embedder.linear.weight"),
                ("layers.1.adaLN_modulation.1.weight", "layers.1.modulation.linear.weight"),
                ("final_layer.adaLN_modulation.1.bias", "final_layer.modulation.linear.bias"),
                ("eol_token", "nextline_token"),
                // Kept, though parts of them look like names in the table.
                ("pad_token", "pad_token"),
                ("layers.10.attention.wk_y.weight", "layers.10.attention.wk_y.weight"),
                ("my_eol_token", "my_eol_token"),
                ("t_embedder.mlp.20.weight", "t_embedder.mlp.20.weight"),
            ],
        );
    }

    #[test]
    fn next_dits_norms_stand_before_and_behind() {
        check(
            next_dit,
            &[
                ("layers.0.attention_norm1.weight", "layers.0.attention_norm.weight"),
                ("layers.0.attention_norm2.weight", "layers.0.attention_post_norm.weight"),
                ("layers.0.ffn_norm2.weight", "layers.0.ffn_post_norm.weight"),
                ("layers.0.attention_y_norm.weight", "layers.0.attention_y_norm.weight"),
                ("final_layer.adaLN_modulation.1.weight", "final_layer.modulation.linear.weight"),
            ],
        );
        check(next_dit_of_labels, &[("layers.0.attention_norm.weight", "layers.0.attention_post_norm.weight")]);
        check(next_dit_of_labels, &[("layers.0.ffn_norm.weight", "layers.0.ffn_post_norm.weight")]);
        check(flag_dit_of_labels, &[("layers.0.ffn_norm.weight", "layers.0.ffn_norm.weight")]);
        check(flag_dit_of_labels, &[("y_embedder.embedding_table.weight", "y_embedder.weight")]);
    }

    #[test]
    fn a_language_model_keeps_what_an_encoder_needs() {
        check(
            language_model,
            &[
                ("model.embed_tokens.weight", "embed_tokens.weight"),
                ("embed_tokens.weight", "embed_tokens.weight"),
                ("model.layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.weight"),
                ("model.norm.weight", "norm.weight"),
            ],
        );
        assert_eq!(language_model("lm_head.weight"), None);
        assert_eq!(language_model("model.layers.0.self_attn.rotary_emb.inv_freq"), None);
    }

    #[test]
    fn both_generations_of_autoencoders_are_known() {
        let attention = "decoder.mid_block.attentions.0";
        for (theirs, ours) in
            [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out"), ("to_out.0", "to_out")]
        {
            check(autoencoder_kl, &[(&format!("{attention}.{theirs}.bias"), &format!("{attention}.{ours}.bias"))]);
        }
        check(
            autoencoder_kl,
            &[
                ("decoder.mid_block.attentions.0.to_q.weight", "decoder.mid_block.attentions.0.to_q.weight"),
                ("decoder.mid_block.attentions.0.group_norm.bias", "decoder.mid_block.attentions.0.group_norm.bias"),
                ("encoder.down_blocks.0.resnets.0.conv1.weight", "encoder.down_blocks.0.resnets.0.conv1.weight"),
            ],
        );
    }

    #[test]
    fn only_the_attention_of_an_autoencoder_loses_axes() {
        assert_eq!(autoencoder_kl_shape("mid_block.attentions.0.query.weight", &[8, 8, 1, 1]), [8, 8]);
        assert_eq!(autoencoder_kl_shape("mid_block.attentions.0.to_q.weight", &[8, 8]), [8, 8]);
        assert_eq!(autoencoder_kl_shape("post_quant_conv.weight", &[4, 4, 1, 1]), [4, 4, 1, 1]);
    }
}
