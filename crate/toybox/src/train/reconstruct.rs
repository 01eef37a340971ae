//! How well the autoencoder keeps a picture: truth beside reconstruction, and the error in decibels.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use flagdit::request::Kind;

use super::{
    autoencoder, batches,
    checkpoint::values,
    recipe::{Bucket, Recipe, Stage},
};

/// Pairs on the sheet.
const PAIRS: usize = 24;
/// Pairs in a row.
const COLUMNS: usize = 6;
/// Frames of a video or a set of views.
const FRAMES: usize = 8;
/// Pixels along each side of a picture.
const SIDE: usize = 64;

/// Writes the sheet and returns the peak signal-to-noise ratio, in dB.
pub fn sheet(recipe: &Recipe, folder: &Path, kind: Kind, path: &Path) -> Result<f64> {
    ensure!(kind != Kind::Audio, "the autoencoder is for pictures: expected image, video or views");
    let device = Device::flex();
    let (vae, _) = autoencoder::trained(recipe, folder, &device)?;
    let mut recipe = recipe.clone();
    recipe.seed = !recipe.seed;
    let frames = if kind == Kind::Image { 1 } else { FRAMES };
    let bucket = Bucket { kind, size: [SIDE as u32; 2], frames, share: 1.0 };
    let stage = Stage { buckets: vec![bucket], batch: PAIRS / frames, ..recipe.decoder.clone() };
    let batch = batches::stream(&recipe, &stage, 0, 1.0, 1, |batch| batch).recv()?;
    let decoded = values(vae.decode(vae.encode(batch.tensor(&device))).clamp(-1.0, 1.0));
    let square = batch.values.iter().zip(&decoded).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let mse = square / decoded.len() as f64;
    let mut sheet = image::RgbImage::new((2 * COLUMNS * SIDE) as u32, (PAIRS / COLUMNS * SIDE) as u32);
    for (i, pictures) in batch.values.chunks(3 * SIDE * SIDE).zip(decoded.chunks(3 * SIDE * SIDE)).enumerate() {
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
