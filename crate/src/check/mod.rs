//! Whether a model computes what a reference implementation computed: the way to trust a conversion, or a device.
//!
//! A reference is a folder with `io.safetensors`, which holds inputs and what came out of them, and `config.json`, which
//! says how it was called. What a tensor is, its name says ([`denoiser`], [`text`], [`autoencoder`] and [`lumina_pipeline`]
//! list the names they know). Every tensor that is no input is compared; one that nothing here computes fails the check.

pub mod autoencoder;
pub mod comparing;
pub mod denoiser;
mod guided;
pub mod lumina_pipeline;
mod reference;
mod report;
pub mod text;

pub use comparing::Comparing;
pub use reference::{Reference, Stored};
pub use report::{Comparison, Report};

use crate::{
    device::Device,
    error::{Error, Result},
    parts::{self, DENOISER, IMAGE_DECODER, TEXT},
    weights::Reader,
};

/// Compares what the model of `reader` computes on `device` with what `reference` holds: all of it, or what belongs to one
/// component (`text`, `denoiser`, `decoders.image`), which alone is loaded.
///
/// # Errors
///
/// `bad-request` if the reference says nothing of that component, `bad-model` if the reference is of another model, or what
/// it holds contradicts itself; those of loading the model.
pub async fn check(reader: &Reader, reference: &Reference, component: Option<&str>, device: &Device) -> Result<Report> {
    let comparing = Comparing::new(reference, device.burn());
    let covered = reference.components();
    let wanted: Vec<&str> = covered.iter().copied().filter(|name| component.is_none_or(|one| one == *name)).collect();
    if wanted.is_empty() {
        return Err(Error::bad_request("component")
            .expected(format!("one that {} is about ({})", reference.name(), covered.join(", ")))
            .found(component.unwrap_or("none")));
    }
    let mut moved = |_| {};
    for name in &wanted {
        match *name {
            TEXT => {
                let model = parts::text(reader, device, &mut moved).await?;
                let tokenizer = parts::tokenizer(reader).await?;
                match reference.runs() {
                    Some(_) => lumina_pipeline::text(&comparing, &model, reader, &tokenizer).await?,
                    None => text::check(&comparing, &model, Some(reader), &tokenizer).await?,
                }
            }
            DENOISER => {
                let model = parts::denoiser(reader, device, &mut moved).await?;
                match reference.runs() {
                    Some(_) => lumina_pipeline::denoiser(&comparing, &model, reader.manifest()).await?,
                    None => denoiser::check(&comparing, &model).await?,
                }
            }
            IMAGE_DECODER => {
                let model = parts::autoencoder(reader, device, &mut moved).await?;
                match reference.runs() {
                    Some(_) => lumina_pipeline::autoencoder(&comparing, &model)?,
                    None => autoencoder::check(&comparing, &model, &parts::autoencoder_config(reader.manifest())?)?,
                }
            }
            other => unreachable!("a reference covers components that are known, not {other}"),
        }
    }
    Ok(comparing.finish(component.is_none()))
}
