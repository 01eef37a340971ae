//! The loss curve: a CSV that grows as the training goes, and a picture of it.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write, path::Path};

use anyhow::{Context, Result};
use tiny_skia::{Color, Paint, PathBuilder, Pixmap, Stroke, Transform};

/// One line of the CSV.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// Pictures seen.
    pub pictures: u64,
    /// Of which kind of sample the loss is.
    pub kind: &'a str,
    /// Mean loss since the last point.
    pub loss: f64,
    /// Learning rate.
    pub rate: f64,
    /// Seconds of training.
    pub seconds: f64,
}

/// Appends a point.
pub fn append(path: &Path, point: Point<'_>) -> Result<()> {
    let new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if new {
        writeln!(file, "pictures,loss,learning_rate,seconds,kind")?;
    }
    let Point { pictures, kind, loss, rate, seconds } = point;
    writeln!(file, "{pictures},{loss:.6},{rate:.3e},{seconds:.0},{kind}")?;
    Ok(())
}

/// Drops the points behind `pictures`.
pub fn cut(path: &Path, pictures: u64) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("loss curve {}", path.display()))?;
    let is_before = |line: &&str| {
        let seen = line.split(',').next().and_then(|field| field.parse::<u64>().ok());
        seen.is_none_or(|seen| seen <= pictures)
    };
    let kept: String = text.lines().filter(is_before).map(|line| format!("{line}\n")).collect();
    std::fs::write(path, kept).with_context(|| format!("loss curve {}", path.display()))
}

/// The points of each kind of sample.
fn read(path: &Path) -> Result<BTreeMap<String, Vec<(f32, f32)>>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("loss curve {}", path.display()))?;
    let mut curves: BTreeMap<String, Vec<(f32, f32)>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |place: usize| fields.get(place).and_then(|field| field.parse::<f32>().ok());
        if let (Some(pictures), Some(loss)) = (number(0), number(1)) {
            curves.entry(fields.get(4).copied().unwrap_or_default().to_owned()).or_default().push((pictures, loss));
        }
    }
    Ok(curves)
}

/// Of each kind's line, in the order of their names.
const COLOURS: [(u8, u8, u8); 4] = [(36, 84, 214), (222, 110, 20), (30, 150, 80), (150, 50, 170)];

/// Draws the curve of each kind: pictures along, the loss up on a logarithmic scale, with a line for every power of two.
pub fn draw(csv: &Path, png: &Path) -> Result<()> {
    const SIZE: (f32, f32) = (720.0, 360.0);
    const MARGIN: f32 = 24.0;
    let curves = read(csv)?;
    let log = |loss: f32| loss.max(1e-9).log2();
    let points = || curves.values().flatten();
    let most = points().map(|p| p.0).fold(1.0, f32::max);
    let low = points().map(|p| log(p.1)).fold(f32::MAX, f32::min).floor();
    let high = points().map(|p| log(p.1)).fold(f32::MIN, f32::max).ceil().max(low + 1.0);
    let x = |pictures: f32| MARGIN + pictures / most * (SIZE.0 - 2.0 * MARGIN);
    let y = |log: f32| SIZE.1 - MARGIN - (log - low) / (high - low) * (SIZE.1 - 2.0 * MARGIN);
    let mut pixmap = Pixmap::new(SIZE.0 as u32, SIZE.1 as u32).context("a pixmap")?;
    pixmap.fill(Color::WHITE);
    let mut line = |points: &[(f32, f32)], rgb: (u8, u8, u8), width: f32| {
        let mut builder = PathBuilder::new();
        for (i, &(x, y)) in points.iter().enumerate() {
            if i == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        let mut paint = Paint::default();
        paint.set_color_rgba8(rgb.0, rgb.1, rgb.2, 255);
        if let Some(path) = builder.finish() {
            let stroke = Stroke { width, ..Stroke::default() };
            pixmap.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
        }
    };
    for power in low as i32..=high as i32 {
        let level = y(power as f32);
        line(&[(MARGIN, level), (SIZE.0 - MARGIN, level)], (220, 220, 225), 1.0);
    }
    for (points, rgb) in curves.values().zip(COLOURS.iter().cycle()) {
        let curve: Vec<(f32, f32)> = points.iter().map(|p| (x(p.0), y(log(p.1)))).collect();
        line(&curve, *rgb, 2.0);
    }
    pixmap.save_png(png).with_context(|| format!("picture of the curve {}", png.display()))
}
