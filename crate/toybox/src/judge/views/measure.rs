//! From the pixels of all views to named attributes.

use serde::Serialize;

use super::azimuth::azimuths;
use super::outline::{Outline, median};
use super::templates::{Match, SOLIDS, template};
use crate::judge::palette::{nearest, oklab};

/// Which of the pixels of an object, from the least white to the whitest, counts as its highlight.
const WHITEST: f32 = 0.996;
/// How much whiter than the object its highlight is at least, where white itself is 1.
const HIGHLIGHT: f32 = 0.34;

/// What a set of views shows.
#[derive(Clone, Debug, Serialize)]
pub struct ViewsMeasurement {
    pub solid: &'static str,
    pub colour: &'static str,
    pub material: &'static str,
    /// How much whiter the highlight is than the rest, at most 1.
    pub highlight: f32,
    /// How well the outline of the worst view matches the solid, at most 1.
    pub likeness: f32,
    /// By how much the sizes of the object in the views differ from their median at most, as a part of it.
    pub size_spread: f32,
    /// How far, in Oklab, the hue of a view is from that of all together at most; lightness counts half.
    pub colour_spread: f32,
    /// From where each view was taken, in degrees.
    pub azimuths: Vec<f32>,
}

/// Measures views of `width * height` pixels with three bytes each; nothing where a view shows no object.
pub fn measure(views: &[Vec<u8>], width: u32, height: u32) -> Option<ViewsMeasurement> {
    let find = |view: &Vec<u8>| Outline::find(view, width as usize, height as usize);
    let outlines = views.iter().map(find).collect::<Option<Vec<_>>>()?;
    let (solid, matches) = best_solid(&outlines)?;
    let inside: Vec<Vec<[f32; 3]>> = outlines.iter().map(colours_inside).collect();
    let colour = median(inside.concat());
    let highlight = highlight(&inside, colour);
    let mut scales: Vec<f32> = matches.iter().map(|found| found.scale).collect();
    scales.sort_by(f32::total_cmp);
    let middle = scales[scales.len() / 2];
    let far = |colours: &Vec<[f32; 3]>| {
        let (own, all) = (oklab(median(without_highlights(colours, colour))), oklab(colour));
        (((own[0] - all[0]) / 2.0).powi(2) + (own[1] - all[1]).powi(2) + (own[2] - all[2]).powi(2)).sqrt()
    };
    Some(ViewsMeasurement {
        solid: SOLIDS[solid],
        colour: nearest(colour),
        material: if highlight > HIGHLIGHT { "shiny" } else { "matte" },
        highlight,
        likeness: matches.iter().map(|found| found.overlap).fold(1.0, f32::min),
        size_spread: scales.iter().map(|scale| (scale / middle - 1.0).abs()).fold(0.0, f32::max),
        colour_spread: inside.iter().map(far).fold(0.0, f32::max),
        azimuths: azimuths(&outlines, solid),
    })
}

/// The solid that the outlines match best on the whole, each seen from the azimuth that it should be seen from.
fn best_solid(outlines: &[Outline]) -> Option<(usize, Vec<Match>)> {
    let matches = |solid: usize| -> Vec<Match> {
        let azimuth = |view: usize| 360.0 * view as f32 / outlines.len() as f32;
        outlines.iter().enumerate().map(|(view, outline)| template(solid, azimuth(view)).compare(outline)).collect()
    };
    let likeness = |matches: &[Match]| matches.iter().map(|found| found.overlap).sum::<f32>();
    let all = (0..SOLIDS.len()).map(|solid| (solid, matches(solid)));
    all.max_by(|a, b| likeness(&a.1).total_cmp(&likeness(&b.1)))
}

/// The colours of the inside of an object; of all of it where it is too thin to have an inside.
fn colours_inside(outline: &Outline) -> Vec<[f32; 3]> {
    let inside: Vec<_> = outline.interior().map(|i| outline.rgb[i]).collect();
    if !inside.is_empty() {
        return inside;
    }
    (0..outline.mask.len()).filter(|&i| outline.mask[i]).map(|i| outline.rgb[i]).collect()
}

/// How far the whitest pixels are on the way from the object's colour to white.
fn highlight(inside: &[Vec<[f32; 3]>], colour: [f32; 3]) -> f32 {
    let mut levels: Vec<f32> = inside.iter().flatten().map(|&pixel| whiteness(pixel, colour)).collect();
    levels.sort_by(f32::total_cmp);
    levels[(WHITEST * (levels.len() - 1) as f32) as usize]
}

/// The colours that are no highlight; all of them if there is nothing else.
fn without_highlights(colours: &[[f32; 3]], colour: [f32; 3]) -> Vec<[f32; 3]> {
    let dull: Vec<_> = colours.iter().copied().filter(|&pixel| whiteness(pixel, colour) < HIGHLIGHT / 2.0).collect();
    if dull.is_empty() { colours.to_vec() } else { dull }
}

/// How far a pixel is on the way from an object's colour to white, in the channel that is darkest in the object.
fn whiteness(pixel: [f32; 3], colour: [f32; 3]) -> f32 {
    let darkest = (0..3).min_by(|&a, &b| colour[a].total_cmp(&colour[b])).expect("there are three channels");
    (pixel[darkest] - colour[darkest]) / (255.0 - colour[darkest]).max(1.0)
}
