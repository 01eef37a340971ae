//! What a model makes of captions, through the pipeline that users have: laid out as a sheet, or judged.

use std::{fmt::Display, path::Path};

use anyhow::{Context, Result, bail};
use flagdit::{
    Device, Pipeline, Request,
    progress::{Event, Image, Output},
    request::Kind,
    weights,
};
use futures_util::{StreamExt, pin_mut};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::judge::{self, lines, sound, video, views};

/// What the sheet of videos shows.
const VIDEOS: [&str; 6] = [
    "a red star moves right and spins",
    "a yellow circle bounces on blue",
    "a green heart grows on white",
    "a pink cross blinks on black",
    "an orange triangle moves up on purple",
    "a blue square circles on yellow",
];
/// What the sheet of views shows.
const VIEWS: [&str; 6] = [
    "a shiny blue cone",
    "a matte red cube",
    "a green torus",
    "a shiny yellow cylinder",
    "a purple pyramid",
    "an orange capsule",
];
/// What the sheet of sounds shows.
const SOUNDS: [&str; 6] = [
    "a low bell, rising",
    "a high sine, trill",
    "a middle square wave, scale",
    "three low drum beeps",
    "falling high noise",
    "a middle pluck",
];

/// What the sheet of pictures shows.
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

    /// What one request makes.
    pub async fn output(&self, request: Request) -> Result<Output> {
        let events = self.pipeline.generate(request);
        pin_mut!(events);
        while let Some(event) = events.next().await {
            if let Event::Done(output) = event? {
                return Ok(*output);
            }
        }
        bail!("the pipeline ended without an output")
    }

    /// A sheet of some captions, seed = place among them: pictures, or a row of frames for each.
    pub async fn sheet(&self, kind: Kind, path: &Path, cell: usize) -> Result<()> {
        let (captions, columns) = match kind {
            Kind::Image => (&CAPTIONS[..], COLUMNS),
            Kind::Video => (&VIDEOS[..], self.frames(kind)),
            Kind::Views => (&VIEWS[..], self.frames(kind)),
            Kind::Audio => (&SOUNDS[..], 2),
        };
        let mut frames = Vec::new();
        for (seed, caption) in captions.iter().enumerate() {
            let side = (kind != Kind::Audio).then_some(cell);
            let request = Request { width: side, height: side, ..Request::new(kind, *caption) };
            frames.extend(self.output(request.seed(seed as u64)).await?.frames);
        }
        lay_out(&frames, columns)?.save(path).with_context(|| format!("sheet {}", path.display()))
    }

    fn frames(&self, kind: Kind) -> usize {
        let sizes = self.pipeline.manifest().sizes.get(kind.name());
        sizes.and_then(|sizes| sizes.frames).map_or(1, |frames| frames.native as usize)
    }

    /// Generates the captions of a kind's list, seed = index, and counts what came out right.
    pub async fn judge(&self, kind: Kind, list: &Path, count: usize) -> Result<Report> {
        match kind {
            Kind::Image => {
                let mut table = judge::Table::default();
                let add = |e: &judge::Expectation, output: &Output| {
                    let picture = &output.frames[0];
                    let measured = judge::measure(&picture.rgb, picture.width as u32, picture.height as u32);
                    table.add(e, &judge::score(&measured, e));
                };
                let request =
                    |e: &judge::Expectation| Request::image(&e.caption, e.size[0] as usize, e.size[1] as usize);
                self.each(lines::read(list)?, count, request, add).await?;
                Report::of(&table)
            }
            Kind::Video => {
                let mut table = video::Table::default();
                let add = |e: &video::VideoExpectation, output: &Output| {
                    let measured = video::measure(&pixels(output), e.size[0], e.size[1]);
                    table.add(e, &measured);
                };
                let request = |e: &video::VideoExpectation| sized(Request::video(&e.caption, e.frames), e.size);
                self.each(lines::read(list)?, count, request, add).await?;
                Report::of(&table)
            }
            Kind::Views => {
                let mut table = views::ViewsTable::default();
                let add = |e: &views::ViewsExpectation, output: &Output| {
                    let measured = views::measure(&pixels(output), e.size[0], e.size[1]);
                    table.add(e, &views::score(measured.as_ref(), e));
                    table.hulls.add(&output.frames);
                };
                let request = |e: &views::ViewsExpectation| sized(Request::views(&e.caption, e.views), e.size);
                self.each(lines::read(list)?, count, request, add).await?;
                Report::of(&table)
            }
            Kind::Audio => {
                let mut table = sound::SoundTable::default();
                let add = |e: &sound::SoundExpectation, output: &Output| {
                    let waveform = output.waveform.as_ref();
                    let measured = waveform.and_then(|w| sound::measure(&w.samples, w.sample_rate));
                    table.add(e, &sound::score(measured.as_ref(), e));
                };
                let request = |e: &sound::SoundExpectation| Request::audio(&e.caption, f64::from(e.seconds));
                self.each(lines::read(list)?, count, request, add).await?;
                Report::of(&table)
            }
        }
    }

    async fn each<E>(
        &self,
        mut list: Vec<E>,
        count: usize,
        request: impl Fn(&E) -> Request,
        mut add: impl FnMut(&E, &Output),
    ) -> Result<()> {
        list.truncate(count);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}")?;
        let bar = ProgressBar::new(list.len() as u64).with_style(style);
        for (seed, expected) in list.iter().enumerate() {
            add(expected, &self.output(request(expected).seed(seed as u64)).await?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
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

/// A table of tallies, for people and for programs.
pub struct Report {
    pub text: String,
    pub json: Value,
}

impl Report {
    fn of<T: Display + Serialize>(table: &T) -> Result<Self> {
        Ok(Self { text: table.to_string(), json: serde_json::to_value(table)? })
    }
}

fn sized(request: Request, [width, height]: [u32; 2]) -> Request {
    Request { width: Some(width as usize), height: Some(height as usize), ..request }
}

fn pixels(output: &Output) -> Vec<Vec<u8>> {
    output.frames.iter().map(|frame| frame.rgb.clone()).collect()
}

/// The pictures row by row, white between them.
fn lay_out(frames: &[Image], columns: usize) -> Result<image::RgbImage> {
    let first = frames.first().context("a sheet without pictures")?;
    let side = |count: usize, cell: usize| (count * (cell + GAP) + GAP) as u32;
    let (width, height) = (side(columns, first.width), side(frames.len().div_ceil(columns), first.height));
    let mut sheet = image::RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
    for (i, frame) in frames.iter().enumerate() {
        let rgb = image::RgbImage::from_raw(frame.width as u32, frame.height as u32, frame.rgb.clone());
        let place = |n: usize, cell: usize| (n * (cell + GAP) + GAP) as i64;
        let (x, y) = (place(i % columns, first.width), place(i / columns, first.height));
        image::imageops::replace(&mut sheet, &rgb.context("pixels")?, x, y);
    }
    Ok(sheet)
}
