//! How well the autoencoder keeps a picture: truth beside reconstruction, and the error in decibels.

use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::Device;

use super::{autoencoder, batches, checkpoint::values, recipe::Recipe};

/// Pairs on the sheet.
const PAIRS: usize = 24;
/// Pairs in a row.
const COLUMNS: usize = 6;
/// Pixels along each side of a picture.
const SIDE: usize = 64;

/// Writes the sheet and returns the peak signal-to-noise ratio, in dB.
pub fn sheet(recipe: &Recipe, folder: &Path, path: &Path) -> Result<f64> {
    let device = Device::flex();
    let (vae, _) = autoencoder::trained(recipe, folder, &device)?;
    let mut stage = recipe.flow.clone();
    (stage.sizes, stage.batch) = (vec![(SIDE as u32, SIDE as u32, 1.0)], PAIRS);
    let batch = batches::stream(&stage, !recipe.seed, 0, 1.0).recv()?;
    let decoded = values(vae.decode(vae.encode(batch.pictures(&device))).clamp(-1.0, 1.0));
    let square = batch.pixels.iter().zip(&decoded).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let mse = square / decoded.len() as f64;
    let mut sheet = image::RgbImage::new((2 * COLUMNS * SIDE) as u32, (PAIRS / COLUMNS * SIDE) as u32);
    for (i, pictures) in batch.pixels.chunks(3 * SIDE * SIDE).zip(decoded.chunks(3 * SIDE * SIDE)).enumerate() {
        for (half, picture) in [pictures.0, pictures.1].into_iter().enumerate() {
            let (left, top) = ((2 * (i % COLUMNS) + half) * SIDE, i / COLUMNS * SIDE);
            for at in 0..SIDE * SIDE {
                let level = |channel: usize| ((picture[channel * SIDE * SIDE + at] + 1.0) * 127.5).round() as u8;
                let pixel = image::Rgb([level(0), level(1), level(2)]);
                sheet.put_pixel((left + at % SIDE) as u32, (top + at / SIDE) as u32, pixel);
            }
        }
    }
    sheet.save(path).with_context(|| format!("sheet {}", path.display()))?;
    // The range −1 … 1 has a peak of 2.
    Ok(10.0 * (4.0 / mse).log10())
}
