//! Pictures made by a model: one after the other through the pipeline that users have, laid out as a sheet, or judged.

use std::path::Path;

use anyhow::{Context, Result, bail};
use flagdit::{
    Device, Pipeline, Request,
    progress::{Event, Image},
    weights,
};
use futures_util::{StreamExt, pin_mut};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::judge::{self, Expectation, Table};

/// What the sheet shows.
const CAPTIONS: [&str; 24] = [
    "a large red star on a blue background",
    "a large yellow circle on black",
    "a small green square on the left",
    "a large purple heart on white",
    "a cyan hexagon at the top",
    "an orange triangle on grey",
    "a large white crescent on blue",
    "a pink ring on a green background",
    "a brown cross on yellow",
    "a black diamond on white",
    "a small blue circle in the bottom right corner",
    "a large green heart on pink",
    "a red ring on the right on white",
    "a large orange star on purple",
    "a small yellow diamond at the bottom",
    "a large blue cross on orange",
    "a white hexagon on red",
    "a purple square on cyan",
    "a red circle above a blue square",
    "a yellow star below a green ring",
    "a white heart left of a red cross",
    "two green triangles on black",
    "three yellow stars on blue",
    "a large red circle over grass under a blue sky",
];
const COLUMNS: usize = 6;
const GAP: usize = 4;

/// Generates pictures with one open model.
pub struct Gallery {
    pipeline: Pipeline,
}

impl Gallery {
    /// Opens the model folder on the device `device` (`cpu`, `gpu`, …).
    pub async fn open(model: &Path, device: &str) -> Result<Self> {
        let device = Device::parse(device).await?;
        Ok(Self { pipeline: Pipeline::open(weights::folder(model), device).await? })
    }

    /// One picture.
    pub async fn picture(&mut self, request: Request) -> Result<Image> {
        let events = self.pipeline.generate(request);
        pin_mut!(events);
        while let Some(event) = events.next().await {
            if let Event::Done(output) = event? {
                return output.frames.into_iter().next().context("a picture without frames");
            }
        }
        bail!("the pipeline ended without a picture")
    }

    /// A sheet of [`CAPTIONS`], seed = place on the sheet.
    pub async fn sheet(&mut self, path: &Path, cell: usize) -> Result<()> {
        let rows = CAPTIONS.len().div_ceil(COLUMNS);
        let side = |count: usize| (count * (cell + GAP) + GAP) as u32;
        let mut sheet = image::RgbImage::from_pixel(side(COLUMNS), side(rows), image::Rgb([255; 3]));
        for (i, caption) in CAPTIONS.iter().enumerate() {
            let picture = self.picture(Request::image(*caption, cell, cell).seed(i as u64)).await?;
            let rgb = image::RgbImage::from_raw(cell as u32, cell as u32, picture.rgb).context("pixels")?;
            let place = |n: usize| (n * (cell + GAP) + GAP) as i64;
            image::imageops::replace(&mut sheet, &rgb, place(i % COLUMNS), place(i / COLUMNS));
        }
        sheet.save(path).with_context(|| format!("sheet {}", path.display()))
    }

    /// Generates the judge's captions, seed = index, and counts what came out right.
    pub async fn judge(&mut self, captions: &[Expectation]) -> Result<Table> {
        let bar = ProgressBar::new(captions.len() as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}")?);
        let mut table = Table::default();
        for (seed, expected) in captions.iter().enumerate() {
            let [width, height] = expected.size.map(|side| side as usize);
            let request = Request::image(&expected.caption, width, height).seed(seed as u64);
            let picture = self.picture(request).await?;
            let measured = judge::measure(&picture.rgb, picture.width as u32, picture.height as u32);
            table.add(expected, &judge::score(&measured, expected));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(table)
    }

    /// The model's name, identity and sampling settings, for reports.
    pub fn model(&self) -> Value {
        let manifest = self.pipeline.manifest();
        serde_json::json!({
            "model": manifest.name,
            "model_hash": self.pipeline.identity(),
            "sampling": manifest.sampling,
            "device": self.pipeline.device().name(),
        })
    }
}
