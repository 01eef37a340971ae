//! The judge must be right about views whose truth is known before it is believed about others.

use super::{ViewsExpectation, ViewsTable, list, measure, score};
use crate::judge::tests::assert_committed;
use crate::world::Rng;

type Views = Vec<Vec<u8>>;

/// A list of 80 captions with the views of the objects that they describe.
fn truth(seed: u64) -> Vec<(ViewsExpectation, Views)> {
    let render = |(expectation, object): (ViewsExpectation, crate::world::views::SolidObject)| {
        let views = object.render(expectation.size[0], expectation.size[1], expectation.views);
        (expectation, views)
    };
    list::draw(seed).into_iter().map(render).collect()
}

fn judge<'a>(sets: impl Iterator<Item = (&'a ViewsExpectation, &'a Views)>) -> ViewsTable {
    let mut table = ViewsTable::default();
    for (expectation, views) in sets {
        let measurement = measure(views, expectation.size[0], expectation.size[1]);
        table.add(expectation, &score(measurement.as_ref(), expectation));
    }
    table
}

fn assert_at_least(table: &ViewsTable, percent: f64) {
    println!("{table}");
    for tally in table.overall.tallies() {
        assert!(tally.percent().is_some_and(|right| right >= percent), "judged wrongly too often:\n{table}");
    }
}

#[test]
fn rendered_truth_is_judged_right() {
    let sets: Vec<_> = (1..=2).flat_map(truth).collect();
    assert_at_least(&judge(sets.iter().map(|(expectation, views)| (expectation, views))), 99.0);
}

/// Soft edges and noise are what generated pictures suffer from.
#[test]
fn softened_truth_is_judged_nearly_right() {
    let mut rng = Rng::new(5);
    let mut sets = truth(4);
    for (expectation, views) in &mut sets {
        views.iter_mut().for_each(|view| *view = soften(view, expectation.size, &mut rng));
    }
    assert_at_least(&judge(sets.iter().map(|(expectation, views)| (expectation, views))), 95.0);
}

/// Views judged by the captions of others score about as if guessed: 1 in 11 colours, 1 in 8 solids.
#[test]
fn shuffled_captions_are_near_chance() {
    let sets = truth(6);
    let shuffled = (0..sets.len()).map(|i| (&sets[i].0, &sets[(i * 7 + 29) % sets.len()].1));
    let table = judge(shuffled);
    println!("{table}");
    let [colour, solid, material, ..] =
        table.overall.tallies().map(|tally| tally.percent().expect("all are asked for"));
    assert!(colour < 25.0 && solid < 28.0, "a wrong caption is judged right too often:\n{table}");
    assert!((30.0..70.0).contains(&material), "the material is a coin toss:\n{table}");
}

#[test]
fn views_out_of_order_are_told() {
    let mut sets = truth(7);
    for (_, views) in &mut sets {
        views.swap(1, 4);
        views.swap(2, 7);
    }
    let table = judge(sets.iter().map(|(expectation, views)| (expectation, views)));
    println!("{table}");
    assert!(table.overall.azimuths.percent().is_some_and(|right| right <= 2.0), "{table}");
    for (_, views) in &mut sets {
        *views = vec![views[0].clone(); views.len()];
    }
    let table = judge(sets.iter().map(|(expectation, views)| (expectation, views)));
    assert!(table.overall.azimuths.percent().is_some_and(|right| right <= 2.0), "{table}");
}

#[test]
fn views_of_two_objects_are_not_the_same_object() {
    let sets = truth(8);
    let mixed: Vec<_> = (0..sets.len())
        .map(|i| {
            let (expectation, mut views) = sets[i].clone();
            views[5..].clone_from_slice(&sets[(i + 9) % sets.len()].1[5..]);
            (expectation, views)
        })
        .collect();
    let table = judge(mixed.iter().map(|(expectation, views)| (expectation, views)));
    println!("{table}");
    assert!(table.overall.same_object.percent().is_some_and(|right| right <= 2.0), "{table}");
}

#[test]
fn views_without_an_object_are_wrong() {
    let (expectation, mut views) = truth(9).swap_remove(0);
    views[2].fill(255);
    let measurement = measure(&views, 64, 64);
    assert!(measurement.is_none());
    assert!(!score(measurement.as_ref(), &expectation).same_object);
}

#[test]
fn the_committed_list_is_what_the_seed_gives() {
    assert_committed::<ViewsExpectation>("views.json", list::write);
}

/// A 3×3 binomial blur and nearly Gaussian noise of 6 levels.
fn soften(rgb: &[u8], [width, height]: [u32; 2], rng: &mut Rng) -> Vec<u8> {
    let (width, height) = (width as i32, height as i32);
    let weight = |d: i32| if d == 0 { 0.5 } else { 0.25 };
    let mut soft = Vec::with_capacity(rgb.len());
    for i in 0..width * height * 3 {
        let (x, y, channel) = (i / 3 % width, i / 3 / width, i % 3);
        let tap = |dx: i32, dy: i32| {
            let (x, y) = ((x + dx).clamp(0, width - 1), (y + dy).clamp(0, height - 1));
            weight(dx) * weight(dy) * f32::from(rgb[((y * width + x) * 3 + channel) as usize])
        };
        let blurred: f32 = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| tap(dx, dy))).sum();
        let noise = (0..12).map(|_| rng.uniform()).sum::<f32>() - 6.0;
        soft.push((blurred + 6.0 * noise).clamp(0.0, 255.0) as u8);
    }
    soft
}
