//! The judge must be right about clips whose truth is known before it is believed about others.

use super::list;
use super::{Table, VideoExpectation, VideoMeasurement, measure, score};
use crate::judge::tests::{assert_committed, soften};
use crate::world::Rng;

type Judged = Vec<(VideoExpectation, VideoMeasurement)>;

/// Lists of 100 captions each, with what is measured in clips of what they describe, after a change to each frame.
fn judged(seeds: std::ops::RangeInclusive<u64>, frames: usize, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Judged {
    let clips = seeds.flat_map(list::draw);
    let measured = clips.map(|(expectation, clip)| {
        let [width, height] = expectation.size;
        let frames: Vec<_> = clip.render(width, height, frames).into_iter().map(&change).collect();
        let measurement = measure(&frames, width, height);
        (expectation, measurement)
    });
    measured.collect()
}

fn table<'a>(judged: impl IntoIterator<Item = (&'a VideoExpectation, &'a VideoMeasurement)>) -> Table {
    let mut table = Table::default();
    for (expectation, measurement) in judged {
        table.add(expectation, measurement);
    }
    table
}

/// Every attribute is right in so many percent at least.
fn assert_right(judged: &Judged, least: f64) {
    let table = table(judged.iter().map(|(expectation, measurement)| (expectation, measurement)));
    println!("{table}");
    for (expectation, seen) in judged {
        let verdict = score(seen, expectation);
        if [verdict.motion, verdict.shape, verdict.colour, verdict.direction].contains(&Some(false)) {
            println!("{}: {seen:?}", expectation.caption);
        }
    }
    for tally in table.overall.tallies() {
        let percent = tally.percent().expect("the lists ask for every attribute");
        assert!(percent >= least, "an attribute is judged wrongly too often:\n{table}");
    }
}

#[test]
fn rendered_truth_is_judged_right() {
    for frames in [8, 16] {
        assert_right(&judged(1..=3, frames, |frame| frame), 99.0);
    }
}

/// Soft edges, noise and coarse colour are what generated and compressed clips suffer from.
#[test]
fn softened_truth_is_judged_nearly_right() {
    let rng = std::cell::RefCell::new(Rng::new(5));
    assert_right(&judged(4..=5, 8, |frame| soften(&frame, [64, 64], &mut rng.borrow_mut())), 95.0);
}

/// Clips judged by the captions of others score about as if guessed: 1 in 12 colours, 1 in 10 shapes, 1 in 5 or 6
/// motions, as moves are frequent, and 1 in 4 directions of every second clip.
#[test]
fn shuffled_captions_are_near_chance() {
    let judged = judged(6..=6, 8, |frame| frame);
    let steps = [7, 24, 41, 58].into_iter();
    let shuffled = steps.flat_map(|step| (0..judged.len()).map(move |i| (i, (i + step) % 100)));
    let table = table(shuffled.map(|(i, other)| (&judged[i].0, &judged[other].1)));
    println!("{table}");
    for tally in table.overall.tallies() {
        let percent = tally.percent().expect("the list asks for every attribute");
        assert!(percent < 27.0, "a wrong caption is judged right too often:\n{table}");
    }
}

#[test]
fn what_does_not_move_is_still() {
    for (expectation, clip) in list::draw(7) {
        let frames = vec![clip.render(64, 64, 1).remove(0); 8];
        let measurement = measure(&frames, 64, 64);
        assert_eq!(measurement.motions, ["still"], "{}", expectation.caption);
        assert_eq!(measurement.direction, None);
        assert_eq!(score(&measurement, &expectation).motion, Some(false));
    }
}

#[test]
fn empty_frames_show_nothing() {
    let measurement = measure(&vec![vec![200; 64 * 64 * 3]; 8], 64, 64);
    assert_eq!((measurement.shape, measurement.colour), ("nothing", "nothing"));
    assert_eq!(measurement.motions, ["still"]);
}

#[test]
fn the_committed_list_is_what_the_seed_gives() {
    let list = assert_committed::<VideoExpectation>("videos.json", list::write);
    assert_eq!(list.iter().filter(|expectation| expectation.held_out).count(), 20);
}
