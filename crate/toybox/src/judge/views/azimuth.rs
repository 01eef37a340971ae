//! From which azimuth each view was taken, told by its outline and by which side the light falls on.

use super::outline::Outline;
use super::templates::{AZIMUTHS, template};

/// The shares of all pixels that are darker than what counts as dark, and than what counts as bright. A highlight can
/// take up most of the brightest third.
const DARK_AND_BRIGHT: [f32; 2] = [0.05, 0.6];
/// From how far outside of dark and bright on it makes no difference.
const BEYOND: f32 = 0.3;
/// How much a difference in shading counts against one in outline.
const SHADING: f32 = 1.0;

/// For each view the azimuth that explains it best, in degrees.
pub fn azimuths(outlines: &[Outline], solid: usize) -> Vec<f32> {
    let interiors: Vec<Vec<usize>> = outlines.iter().map(|outline| outline.interior().collect()).collect();
    let seen = outlines.iter().zip(&interiors);
    let levels = seen.clone().flat_map(|(outline, inside)| inside.iter().map(|&i| brightness(outline, i)));
    let [dark, bright] = quantiles(levels.collect());
    let degrees = |step: usize| 360.0 * step as f32 / AZIMUTHS as f32;
    let expected = seen.clone().enumerate().flat_map(|(view, (outline, inside))| {
        let azimuth = 360.0 * view as f32 / outlines.len() as f32;
        template(solid, azimuth).shading(outline, inside).map(|(_, facing)| facing).collect::<Vec<_>>()
    });
    let [away, towards] = quantiles(expected.collect());
    let cost = |outline: &Outline, inside: &[usize], azimuth: f32| {
        let template = template(solid, azimuth);
        let (mut sum, mut count) = (0.0, 1e-6);
        for (i, facing) in template.shading(outline, inside) {
            let lit = (brightness(outline, i) - dark) / (bright - dark).max(1.0);
            let should = (facing - away) / (towards - away).max(1e-6);
            let limited = |level: f32| level.clamp(-BEYOND, 1.0 + BEYOND);
            sum += (limited(lit) - limited(should)).abs();
            count += 1.0;
        }
        SHADING * sum / count - template.compare(outline).overlap
    };
    let best = |(outline, inside): (&Outline, &Vec<usize>)| {
        let costs = (0..AZIMUTHS).map(|step| (cost(outline, inside, degrees(step)), degrees(step)));
        costs.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, azimuth)| azimuth)
    };
    seen.map(best).collect()
}

fn brightness(outline: &Outline, index: usize) -> f32 {
    outline.rgb[index].iter().sum::<f32>() / 3.0
}

fn quantiles(mut values: Vec<f32>) -> [f32; 2] {
    values.sort_by(f32::total_cmp);
    DARK_AND_BRIGHT.map(|share| values.get((share * values.len() as f32) as usize).copied().unwrap_or(0.0))
}
