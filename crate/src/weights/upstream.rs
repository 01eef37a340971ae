//! What upstream calls the parameters of the three networks, and what they are called here.
//!
//! The differences are the tables below, and nothing else in the crate knows upstream's names. A function gets the name
//! of a tensor in an upstream file and answers with ours, or with `None` for a tensor that is left out on purpose.
//! Whatever a table does not mention keeps its name, so that a tensor nobody has heard of is refused by
//! [`Params::finish`](super::params::Params::finish) instead of being lost here.

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

/// AutoencoderKL of diffusers.
const AUTOENCODER_KL: Renames = &[
    ("to_out.0", "to_out"),
    // Older files, such as sd-vae-ft-mse.
    ("query", "to_q"),
    ("key", "to_k"),
    ("value", "to_v"),
    ("proj_attn", "to_out"),
];

/// What `LlamaForCausalLM` puts before the names of its `LlamaModel`.
const LLAMA_PREFIX: &str = "model.";
/// The projection to logits, which a text encoder has no use for.
const LLAMA_HEAD: &str = "lm_head.weight";
/// The RoPE frequencies that older files carry; they follow from the configuration.
const LLAMA_FREQUENCIES: &str = ".rotary_emb.inv_freq";

/// A tensor of Lumina-T2I's Flag-DiT. Nothing is left out.
pub fn flag_dit(name: &str) -> Option<String> {
    Some(renamed(name, FLAG_DIT))
}

/// A tensor of a LLaMA of transformers, with or without its language-model head.
pub fn llama(name: &str) -> Option<String> {
    if name == LLAMA_HEAD || name.ends_with(LLAMA_FREQUENCIES) {
        return None;
    }
    Some(name.strip_prefix(LLAMA_PREFIX).unwrap_or(name).to_owned())
}

/// A tensor of an AutoencoderKL of diffusers, with new or old names for its attention. Nothing is left out.
pub fn autoencoder_kl(name: &str) -> Option<String> {
    Some(renamed(name, AUTOENCODER_KL))
}

/// The shape that a tensor of an AutoencoderKL has here: some files store the linear layers of its attention as 1×1
/// convolutions, `[out, in, 1, 1]`, which are the same numbers in the same order.
pub fn autoencoder_kl_shape<'a>(name: &str, shape: &'a [usize]) -> &'a [usize] {
    match shape {
        [_, _, 1, 1] if name.contains(".attentions.") => &shape[..2],
        _ => shape,
    }
}

fn renamed(name: &str, renames: Renames) -> String {
    let dotted = renames
        .iter()
        .fold(format!(".{name}."), |name, (theirs, ours)| name.replace(&format!(".{theirs}."), &format!(".{ours}.")));
    dotted[1..dotted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rename: fn(&str) -> Option<String>, cases: &[(&str, &str)]) {
        for (theirs, ours) in cases {
            assert_eq!(rename(theirs).as_deref(), Some(*ours), "{theirs}");
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
    fn a_llama_keeps_what_an_encoder_needs() {
        check(
            llama,
            &[
                ("model.embed_tokens.weight", "embed_tokens.weight"),
                ("embed_tokens.weight", "embed_tokens.weight"),
                ("model.layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.weight"),
                ("model.norm.weight", "norm.weight"),
            ],
        );
        assert_eq!(llama("lm_head.weight"), None);
        assert_eq!(llama("model.layers.0.self_attn.rotary_emb.inv_freq"), None);
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
