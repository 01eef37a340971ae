//! Whose tensors these are, by their names: people pick the wrong file more often than a broken one.

/// A sign, and what it is a sign of.
type Sign = (fn(&str) -> bool, &'static str);

/// The first of which any name bears the sign is told: a LoRA has the names of the network that it changes in its own.
const SIGNS: [Sign; 5] = [
    (is_lora, "a LoRA, which changes another model and is none itself"),
    (is_unet, "the UNet of a Stable Diffusion or SDXL"),
    (|name| has_part(name, "double_blocks") || has_part(name, "single_blocks"), "a Flux"),
    (|name| has_part(name, "joint_blocks"), "a Stable Diffusion 3"),
    (|name| has_part(name, "noise_refiner") || has_part(name, "context_refiner"), "a Lumina-Image 2"),
];

/// What has tensors of these names, if it is something well known that is not read here.
pub(super) fn describe<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    SIGNS.iter().find(|(bears, _)| names.clone().any(bears)).map(|(_, what)| *what)
}

fn is_lora(name: &str) -> bool {
    ["lora_A", "lora_B", "lora_up", "lora_down"].iter().any(|part| name.contains(part))
}

/// As its authors saved it, or as diffusers does. An autoencoder has such blocks too, below `encoder.`.
fn is_unet(name: &str) -> bool {
    name.starts_with("model.diffusion_model.input_blocks.")
        || (name.starts_with("down_blocks.") && has_part(name, "attentions"))
}

/// Whether `part` stands in `name` between dots, or before the first.
fn has_part(name: &str, part: &str) -> bool {
    name.split('.').any(|found| found == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_networks_are_told_by_their_names() {
        let told = |name: &str| describe(["pos_embed", name].into_iter());
        for (name, what) in [
            ("layers.0.attention.wq.lora_A.weight", "a LoRA"),
            ("lora_unet_double_blocks_0_img_attn_proj.lora_down.weight", "a LoRA"),
            ("model.diffusion_model.input_blocks.0.0.weight", "the UNet"),
            ("down_blocks.1.attentions.0.norm.weight", "the UNet"),
            ("double_blocks.0.img_attn.qkv.weight", "a Flux"),
            ("model.diffusion_model.single_blocks.0.linear1.weight", "a Flux"),
            ("joint_blocks.0.x_block.attn.qkv.weight", "a Stable Diffusion 3"),
            ("noise_refiner.0.attention.qkv.weight", "a Lumina-Image 2"),
            ("context_refiner.0.attention.qkv.weight", "a Lumina-Image 2"),
        ] {
            assert!(told(name).is_some_and(|told| told.starts_with(what)), "{name}: {:?}", told(name));
        }
        for name in
            ["layers.0.attention.wq.weight", "encoder.down_blocks.0.attentions.0.to_q.weight", "my_double_blocks"]
        {
            assert_eq!(told(name), None, "{name}");
        }
    }
}
