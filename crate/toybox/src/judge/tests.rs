//! The judge must be right about pictures whose truth is known before it is believed about others.

use std::path::Path;

use anyhow::Result;
use serde::de::DeserializeOwned;

use super::table::Tally;
use super::{Expectation, Table, measure, score};
use super::{lines, list};
use crate::world::{Rng, Scene};

/// A list of 300 captions with pictures of the scenes that they describe.
fn pictures(seed: u64) -> Vec<(Expectation, Vec<u8>)> {
    let render = |(expectation, scene): (Expectation, Scene)| {
        let [width, height] = expectation.size;
        (expectation, scene.render(width, height))
    };
    list::draw(seed).into_iter().map(render).collect()
}

fn judge<'a>(pictures: impl Iterator<Item = (&'a Expectation, &'a [u8])>) -> Table {
    let mut table = Table::default();
    for (expectation, rgb) in pictures {
        let measurement = measure(rgb, expectation.size[0], expectation.size[1]);
        table.add(expectation, &score(&measurement, expectation));
    }
    table
}

fn percent(tally: Tally) -> f64 {
    tally.percent().expect("the list asks for every attribute")
}

#[test]
fn rendered_truth_is_judged_right() {
    let pictures: Vec<_> = (1..=2).flat_map(pictures).collect();
    let table = judge(pictures.iter().map(|(expectation, rgb)| (expectation, &rgb[..])));
    println!("{table}");
    let row = &table.overall;
    for tally in [row.colour, row.shape, row.place, row.size, row.relation, row.count, row.background] {
        assert!(percent(tally) >= 99.0, "an attribute is judged wrongly too often:\n{table}");
    }
}

/// Soft edges, noise and coarse colour are what generated and compressed pictures suffer from.
#[test]
fn softened_truth_is_judged_nearly_right() {
    let mut pictures = pictures(4);
    let mut rng = Rng::new(5);
    for (expectation, rgb) in &mut pictures {
        *rgb = soften(rgb, expectation.size, &mut rng);
    }
    let table = judge(pictures.iter().map(|(expectation, rgb)| (expectation, &rgb[..])));
    println!("{table}");
    let row = &table.overall;
    for tally in [row.colour, row.shape, row.place, row.size, row.relation, row.count, row.background] {
        assert!(percent(tally) >= 98.0, "softness misleads the judge:\n{table}");
    }
}

/// Pictures judged by the captions of others score about as if guessed: 1 in 12 colours, 1 in 10 shapes, 1 in 9 places.
#[test]
fn shuffled_captions_are_near_chance() {
    let pictures = pictures(6);
    let single = pictures.iter().filter(|(e, _)| e.objects.len() == 1 && e.size == [64, 64]);
    let single: Vec<_> = single.map(|(expectation, rgb)| (expectation, measure(rgb, 64, 64))).collect();
    let mut table = Table::default();
    for (i, (expectation, _)) in single.iter().enumerate() {
        for step in [7, 31, 53, 77] {
            table.add(expectation, &score(&single[(i + step) % single.len()].1, expectation));
        }
    }
    println!("{table}");
    let row = &table.overall;
    for tally in [row.colour, row.shape, row.place, row.background] {
        assert!(percent(tally) < 20.0, "a wrong caption is judged right too often:\n{table}");
    }
    assert!((35.0..65.0).contains(&percent(row.size)), "size is a coin toss:\n{table}");
}

#[test]
fn an_empty_picture_shows_nothing() {
    let measurement = measure(&[200; 64 * 64 * 3], 64, 64);
    assert!(measurement.objects.is_empty());
    let expectation = &list::draw(7)[0].0;
    assert_eq!(score(&measurement, expectation).colour, Some(false));
}

#[test]
fn the_committed_list_is_what_the_seed_gives() {
    assert_committed::<Expectation>("captions.json", list::write);
}

/// That the committed list `name` is what `write` writes, and what it holds.
pub(super) fn assert_committed<E: DeserializeOwned + PartialEq>(name: &str, write: fn(&Path) -> Result<()>) -> Vec<E> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("judge").join(name);
    let fresh = std::env::temp_dir().join(format!("flagdit-{}-{name}", std::process::id()));
    write(&fresh).unwrap();
    let (committed, fresh_list) = (lines::read(&committed).unwrap(), lines::read(&fresh).unwrap());
    std::fs::remove_file(&fresh).unwrap();
    assert!(committed == fresh_list, "the world has changed since the captions were committed");
    committed
}

/// A 3×3 binomial blur, colour halved in resolution and Gaussian noise of 6 levels.
pub(super) fn soften(rgb: &[u8], [width, height]: [u32; 2], rng: &mut Rng) -> Vec<u8> {
    let (width, height) = (width as i32, height as i32);
    let at = |x: i32, y: i32, c: usize| {
        rgb[((y.clamp(0, height - 1) * width + x.clamp(0, width - 1)) * 3) as usize + c] as f32
    };
    let blurred = |x: i32, y: i32, c: usize| {
        let weight = |d: i32| if d == 0 { 0.5 } else { 0.25 };
        let taps = (0..9).map(|i| (i % 3 - 1, i / 3 - 1));
        taps.map(|(dx, dy)| weight(dx) * weight(dy) * at(x + dx, y + dy, c)).sum::<f32>()
    };
    let luma = |of: &dyn Fn(usize) -> f32| 0.3 * of(0) + 0.59 * of(1) + 0.11 * of(2);
    let mut soft = Vec::with_capacity(rgb.len());
    for i in 0..width * height {
        let (x, y) = (i % width, i / width);
        let coarse = |c: usize| (0..4).map(|k| blurred(x / 2 * 2 + k % 2, y / 2 * 2 + k / 2, c)).sum::<f32>() / 4.0;
        let brightness = luma(&|c| blurred(x, y, c)) - luma(&coarse);
        for c in 0..3 {
            let noise = (0..12).map(|_| rng.uniform()).sum::<f32>() - 6.0;
            soft.push((coarse(c) + brightness + 6.0 * noise).clamp(0.0, 255.0) as u8);
        }
    }
    soft
}
