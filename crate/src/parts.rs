//! The networks of a model folder, one by one, and whether they belong together.

use serde::de::DeserializeOwned;

use crate::{
    decode::{
        mel::MelConfig,
        vae::{AutoencoderKl, VaeConfig},
    },
    device::Device,
    error::{Error, Result},
    model::{FlagDit, FlagDitConfig},
    text::{
        embeddings::TABLE,
        language_model::{LanguageModel, LanguageModelConfig},
        tokenizer::{Tokenizer, TokenizerRules},
    },
    weights::{
        Reader,
        manifest::{Component, Conditioning, Manifest, Sizes},
        params::Params,
    },
};

/// The text encoder, as a manifest calls it.
pub const TEXT: &str = "text";
/// The denoiser.
pub const DENOISER: &str = "denoiser";
/// The decoder of pictures.
pub const IMAGE_DECODER: &str = "decoders.image";
/// The decoder of sound.
const AUDIO_DECODER: &str = "decoders.audio";

/// Pixels have red, green and blue.
const COLOURS: usize = 3;

/// The configuration of the text encoder.
///
/// # Errors
///
/// `bad-model` if there is none, it is of another architecture, or it cannot be built; so for the others.
pub fn text_config(manifest: &Manifest) -> Result<LanguageModelConfig> {
    let text: LanguageModelConfig = config(manifest, TEXT, &["llama", "gemma"])?;
    text.check().map(|()| text)
}

/// The configuration of the denoiser.
///
/// # Errors
///
/// As [`text_config`].
pub fn denoiser_config(manifest: &Manifest) -> Result<FlagDitConfig> {
    let denoiser: FlagDitConfig = config(manifest, DENOISER, &["flag-dit", "next-dit"])?;
    denoiser.check().map(|()| denoiser)
}

/// The configuration of the decoder of pictures.
///
/// # Errors
///
/// As [`text_config`].
pub fn autoencoder_config(manifest: &Manifest) -> Result<VaeConfig> {
    let vae: VaeConfig = config(manifest, IMAGE_DECODER, &["autoencoder-kl"])?;
    vae.check().map(|()| vae)
}

/// The configuration of the text encoder where the denoiser wants one: those of labels do not.
///
/// # Errors
///
/// As [`text_config`]; also if the manifest states another conditioning than its denoiser has.
pub fn conditioner(manifest: &Manifest, denoiser: &FlagDitConfig) -> Result<Option<LanguageModelConfig>> {
    let (stated, has_text) = (manifest.conditioning, manifest.components.text.is_some());
    match (denoiser.num_classes, stated) {
        (None, Conditioning::Text) => text_config(manifest).map(Some),
        (Some(_), Conditioning::Labels) if !has_text => Ok(None),
        (Some(_), Conditioning::Labels) => Err(Error::bad_model("components.text")
            .expected("none beside a denoiser of labels")
            .found("a text encoder")),
        (classes, _) => {
            let expected = if classes.is_some() { "labels" } else { "text" };
            Err(Error::bad_model("conditioning")
                .expected(format!("{expected}, as the denoiser has it"))
                .found(if classes.is_some() { "text" } else { "labels" }))
        }
    }
}

/// The text encoder on `device`, without its embedding table ([`gather`](crate::text::embeddings::gather)); `moved` is told
/// the bytes of every tensor.
///
/// # Errors
///
/// Those of [`text_config`], and of reading its tensors.
pub async fn text(reader: &Reader, device: &Device, moved: &mut dyn FnMut(u64)) -> Result<LanguageModel> {
    let config = text_config(reader.manifest())?;
    let shape = reader.manifest().tensors.get(TABLE).map(|table| table.shape.as_slice());
    let wanted = [config.vocab_size, config.hidden_size];
    if shape != Some(&wanted) {
        let found = shape.map_or("none".to_owned(), |shape| format!("{shape:?}"));
        return Err(Error::bad_model(TABLE).expected(format!("a table of {wanted:?}")).found(found));
    }
    LanguageModel::without_table(&config, &Params::load_but(reader, TEXT, &[TABLE], device, moved).await?)
}

/// The denoiser on `device`.
///
/// # Errors
///
/// As [`text`].
pub async fn denoiser(reader: &Reader, device: &Device, moved: &mut dyn FnMut(u64)) -> Result<FlagDit> {
    FlagDit::new(&denoiser_config(reader.manifest())?, &Params::load(reader, DENOISER, device, moved).await?)
}

/// The decoder of pictures on `device`.
///
/// # Errors
///
/// As [`text`].
pub async fn autoencoder(reader: &Reader, device: &Device, moved: &mut dyn FnMut(u64)) -> Result<AutoencoderKl> {
    AutoencoderKl::new(
        &autoencoder_config(reader.manifest())?,
        &Params::load(reader, IMAGE_DECODER, device, moved).await?,
    )
}

/// The tokenizer of the text encoder; its rules stand beside the encoder's configuration, under `prompt`.
///
/// # Errors
///
/// `bad-model` if there is none, or it does not fit the encoder's vocabulary.
pub async fn tokenizer(reader: &Reader) -> Result<Tokenizer> {
    let subject = "components.text";
    let component = component(reader.manifest(), TEXT)?;
    let path = component
        .tokenizer
        .as_deref()
        .ok_or_else(|| Error::bad_model(subject).expected("the path of a tokenizer").found("none"))?;
    let rules = component.config.get("prompt").cloned().unwrap_or_default();
    let rules: TokenizerRules = serde_json::from_value(rules).map_err(|error| {
        Error::bad_model(format!("{subject}.config.prompt"))
            .expected("the rules of a tokenizer")
            .found(error.to_string())
    })?;
    Tokenizer::new(&reader.file(path).await?, rules, text_config(reader.manifest())?.vocab_size)
}

/// The spectrograms that a model makes sound of, which its denoiser must know by the same bands; nothing where it has no
/// sound.
///
/// # Errors
///
/// As [`text_config`].
pub fn mel_config(manifest: &Manifest) -> Result<Option<MelConfig>> {
    if !manifest.components.named().any(|(name, _)| name == AUDIO_DECODER) {
        return Ok(None);
    }
    let mel: MelConfig = config(manifest, AUDIO_DECODER, &["griffin-lim"])?;
    mel.check()?;
    let bands = denoiser_config(manifest)?.audio.map(|audio| audio.bands);
    if bands != Some(mel.bands) {
        return Err(Error::bad_model("denoiser audio.bands and decoder bands")
            .expected("equal numbers")
            .found(format!("{} and {}", bands.map_or("none".to_owned(), |bands| bands.to_string()), mel.bands)));
    }
    Ok(Some(mel))
}

/// Refuses networks that each are possible and do not belong together.
///
/// # Errors
///
/// `bad-model` that names what differs.
pub fn belong_together(
    text: Option<&LanguageModelConfig>,
    denoiser: &FlagDitConfig,
    vae: &VaeConfig,
    sizes: Option<&Sizes>,
) -> Result<()> {
    let width = text.map_or(denoiser.cap_feat_dim, |text| text.hidden_size);
    let equal = [
        ("text encoder hidden_size and denoiser cap_feat_dim", width, denoiser.cap_feat_dim),
        ("autoencoder latent_channels and denoiser in_channels", vae.latent_channels, denoiser.in_channels),
        ("autoencoder in_channels and colours", vae.in_channels, COLOURS),
        ("autoencoder out_channels and colours", vae.out_channels, COLOURS),
    ];
    for (what, one, other) in equal {
        if one != other {
            return Err(Error::bad_model(what)
                .expected("equal numbers")
                .found(format!("{one} and {other}"))
                .remedy("Lumina-T2I goes with Llama-2-7b, Lumina-Next with gemma-2b, all with sdxl-vae or another of 4 channels"));
        }
    }
    let pixels = vae.factor() * denoiser.patch_size;
    match sizes {
        Some(sizes) if !(sizes.multiple as usize).is_multiple_of(pixels) || sizes.native.len() != 2 => {
            Err(Error::bad_model("sizes.image")
                .expected(format!("width and height in multiples of a token's {pixels} pixels"))
                .found(format!("{:?} in multiples of {}", sizes.native, sizes.multiple)))
        }
        _ => Ok(()),
    }
}

/// A component of the manifest.
fn component<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a Component> {
    let components = &manifest.components;
    components.named().find_map(|(its_name, component)| (its_name == name).then_some(component)).ok_or_else(|| {
        let names: Vec<String> = components.named().map(|(name, _)| name).collect();
        Error::bad_model("components")
            .expected(name)
            .found(format!("{} only", names.join(", ")))
            .remedy("this folder holds a part of a model, or one of another kind: pictures need denoiser, decoders.image and, unless the denoiser knows labels, text")
    })
}

/// A component's configuration, if its architecture is one that is built here.
fn config<T: DeserializeOwned>(manifest: &Manifest, name: &str, architectures: &[&str]) -> Result<T> {
    let component = component(manifest, name)?;
    let architecture = &component.architecture;
    if !architectures.contains(&architecture.as_str()) {
        return Err(Error::bad_model(format!("components.{name}.architecture"))
            .expected(architectures.join(" or "))
            .found(architecture.clone()));
    }
    serde_json::from_value(component.config.clone()).map_err(|error| {
        Error::bad_model(format!("components.{name}.config"))
            .expected(format!("the configuration of a {architecture}"))
            .found(error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs() -> (LanguageModelConfig, FlagDitConfig, VaeConfig, Sizes) {
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let text = read(
            r#"{"vocab_size": 9, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                "num_attention_heads": 2, "rms_norm_eps": 1e-5}"#,
        );
        let denoiser = read(
            r#"{"patch_size": 2, "in_channels": 4, "dim": 8, "n_layers": 1, "n_heads": 2, "multiple_of": 8,
                "norm_eps": 1e-5, "learn_sigma": false, "qk_norm": true, "cap_feat_dim": 8}"#,
        );
        let vae = read(
            r#"{"in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [4, 4],
                "layers_per_block": 1, "norm_num_groups": 1, "scaling_factor": 1.0}"#,
        );
        let sizes = Sizes {
            native: vec![8, 8],
            multiple: 4,
            max: vec![16, 16],
            frames: None,
            trained_tokens: None,
            extrapolation: None,
        };
        let parsed = "the configurations of a test";
        (
            serde_json::from_value(text).expect(parsed),
            serde_json::from_value(denoiser).expect(parsed),
            serde_json::from_value(vae).expect(parsed),
            sizes,
        )
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused_by_name() {
        let (text, denoiser, vae, sizes) = configs();
        assert_eq!(belong_together(Some(&text), &denoiser, &vae, Some(&sizes)), Ok(()));
        assert_eq!(belong_together(None, &denoiser, &vae, None), Ok(()));
        let refusal = |text: &_, denoiser: &_, vae: &_, sizes: &_| {
            belong_together(Some(text), denoiser, vae, Some(sizes)).expect_err("a misfit").to_string()
        };
        let wide = FlagDitConfig { cap_feat_dim: 9, ..denoiser.clone() };
        assert!(refusal(&text, &wide, &vae, &sizes).contains("cap_feat_dim"));
        let latent = VaeConfig { latent_channels: 5, ..vae.clone() };
        assert!(refusal(&text, &denoiser, &latent, &sizes).contains("latent_channels"));
        let grey = VaeConfig { out_channels: 1, ..vae.clone() };
        assert!(refusal(&text, &denoiser, &grey, &sizes).contains("out_channels"));
        let odd = Sizes { multiple: 2, ..sizes.clone() };
        assert!(refusal(&text, &denoiser, &vae, &odd).contains("4 pixels"));
    }
}
