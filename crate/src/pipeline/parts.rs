//! The networks of a model, loaded and seen to fit each other.

use burn::tensor::Device;
use serde::de::DeserializeOwned;

use crate::{
    decode::{
        griffin_lim::GriffinLim,
        mel::MelConfig,
        vae::{AutoencoderKl, VaeConfig},
    },
    error::{Error, Result},
    model::{FlagDit, FlagDitConfig},
    progress::{LoadProgress, LoadStage},
    request::Kind,
    text::{
        language_model::{LanguageModel, LanguageModelConfig},
        tokenizer::{Tokenizer, TokenizerRules},
    },
    weights::{
        Reader,
        manifest::{Component, Sizes},
        params::Params,
    },
};

/// Pixels have red, green and blue.
const COLOURS: usize = 3;

/// Everything between a prompt and a picture.
pub struct Parts {
    pub tokenizer: Tokenizer,
    pub text: LanguageModel,
    pub denoiser: FlagDit,
    pub vae: AutoencoderKl,
    /// Where the model makes sound.
    pub sound: Option<(MelConfig, GriffinLim)>,
}

impl Parts {
    /// The parts that the manifest names, on `device`; `progress` hears of every tensor.
    pub async fn load(reader: &Reader, device: &Device, progress: &mut dyn FnMut(LoadProgress)) -> Result<Self> {
        let manifest = reader.manifest();
        let components = &manifest.components;
        let image = components
            .decoders
            .get(Kind::Image.name())
            .ok_or_else(|| Error::bad_model("components.decoders").expected("an image decoder").found("none"))?;
        let text: LanguageModelConfig = config("text", &["llama", "gemma"], &components.text)?;
        let denoiser: FlagDitConfig = config("denoiser", &["flag-dit", "next-dit"], &components.denoiser)?;
        let vae: VaeConfig = config("decoders.image", &["autoencoder-kl"], image)?;
        for checked in [text.check(), denoiser.check(), vae.check()] {
            checked?;
        }
        let sound =
            components.decoders.get(Kind::Audio.name()).map(|component| sound(component, &denoiser)).transpose()?;
        fit(&text, &denoiser, &vae, manifest.sizes.get(Kind::Image.name()))?;
        let in_files = manifest.files.iter().map(|file| file.bytes).sum();
        let in_tensors = manifest.tensors.keys().map(|name| reader.bytes(name)).sum();
        let mut uploaded = 0;
        let mut moved = |bytes| {
            uploaded += bytes;
            progress(LoadProgress { stage: LoadStage::Verify, loaded: reader.verified(), total: in_files });
            progress(LoadProgress { stage: LoadStage::Upload, loaded: uploaded, total: in_tensors });
        };
        Ok(Self {
            tokenizer: tokenizer(reader, &components.text, text.vocab_size).await?,
            text: LanguageModel::new(&text, &Params::load(reader, "text", device, &mut moved).await?)?,
            denoiser: FlagDit::new(&denoiser, &Params::load(reader, "denoiser", device, &mut moved).await?)?,
            vae: AutoencoderKl::new(&vae, &Params::load(reader, "decoders.image", device, &mut moved).await?)?,
            sound,
        })
    }
}

/// What makes sound of spectrograms, which the denoiser must know by the same bands.
fn sound(component: &Component, denoiser: &FlagDitConfig) -> Result<(MelConfig, GriffinLim)> {
    let mel: MelConfig = config("decoders.audio", &["griffin-lim"], component)?;
    mel.check()?;
    let bands = denoiser.audio.map(|audio| audio.bands);
    if bands != Some(mel.bands) {
        return Err(Error::bad_model("denoiser audio.bands and decoder bands")
            .expected("equal numbers")
            .found(format!("{} and {}", bands.map_or("none".to_owned(), |bands| bands.to_string()), mel.bands)));
    }
    let griffin_lim = GriffinLim::new(&mel)?;
    Ok((mel, griffin_lim))
}

/// Refuses networks that each are possible and do not belong together.
fn fit(text: &LanguageModelConfig, denoiser: &FlagDitConfig, vae: &VaeConfig, sizes: Option<&Sizes>) -> Result<()> {
    let equal = [
        ("denoiser cap_feat_dim and text hidden_size", denoiser.cap_feat_dim, text.hidden_size),
        ("denoiser in_channels and decoder latent_channels", denoiser.in_channels, vae.latent_channels),
        ("decoder in_channels and colours", vae.in_channels, COLOURS),
        ("decoder out_channels and colours", vae.out_channels, COLOURS),
    ];
    for (what, one, other) in equal {
        if one != other {
            return Err(Error::bad_model(what).expected("equal numbers").found(format!("{one} and {other}")));
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

/// A component's configuration, if its architecture is one that is built here.
fn config<T: DeserializeOwned>(name: &str, architectures: &[&str], component: &Component) -> Result<T> {
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

/// The tokenizer of the text encoder; its rules stand beside the encoder's configuration, under `prompt`.
async fn tokenizer(reader: &Reader, component: &Component, vocabulary: usize) -> Result<Tokenizer> {
    let subject = "components.text";
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
    Tokenizer::new(&reader.file(path).await?, rules, vocabulary)
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
        assert_eq!(fit(&text, &denoiser, &vae, Some(&sizes)), Ok(()));
        let refusal = |text: &_, denoiser: &_, vae: &_, sizes: &_| {
            fit(text, denoiser, vae, Some(sizes)).expect_err("a misfit").to_string()
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
