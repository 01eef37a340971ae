//! How well the object that is carved from views agrees with them.

use std::fmt;

use flagdit::output::mesh::{Camera, mesh};
use flagdit::progress::Image;
use serde::Serialize;

use super::outline::Outline;

/// What an outline and a view's have in common, as a part of what either has, is good from here on.
const GOOD: f32 = 0.85;

/// The outlines of carved objects, view by view, beside those of the views.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Hulls {
    /// Sets of views that an object was carved from.
    pub sets: usize,
    /// Their views.
    pub views: usize,
    /// Of them those whose outlines agree.
    pub good: usize,
    /// The sum of all overlaps, each at most 1.
    pub overlap: f32,
}

impl Hulls {
    /// Carves an object from views, and counts it in; nothing to carve agrees in no view.
    pub fn add(&mut self, views: &[Image]) {
        let overlaps = overlaps(views).unwrap_or_else(|| vec![0.0; views.len()]);
        self.sets += 1;
        self.views += overlaps.len();
        self.good += overlaps.iter().filter(|&&overlap| overlap >= GOOD).count();
        self.overlap += overlaps.iter().sum::<f32>();
    }
}

impl fmt::Display for Hulls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sets, views, good, overlap } = self;
        let mean = overlap / (*views).max(1) as f32;
        writeln!(
            f,
            "{sets} carved objects: outlines overlap by {mean:.3}, by {GOOD} or more in {good} of {views} views"
        )
    }
}

/// Intersection over union of the carved object's outline and each view's; nothing where a view shows no object.
fn overlaps(views: &[Image]) -> Option<Vec<f32>> {
    let mesh = mesh(views).ok()?;
    let of_view = |(view, image): (usize, &Image)| {
        let seen = Outline::find(&image.rgb, image.width, image.height)?.mask;
        let carved = mesh.outline(&Camera::new(view, views.len()), image.width, image.height);
        Some(overlap(&seen, &carved))
    };
    views.iter().enumerate().map(of_view).collect()
}

/// Intersection over union of two outlines.
pub fn overlap(one: &[bool], other: &[bool]) -> f32 {
    let count = |of: fn(bool, bool) -> bool| one.iter().zip(other).filter(|&(&a, &b)| of(a, b)).count() as f32;
    count(|a, b| a && b) / count(|a, b| a || b)
}
