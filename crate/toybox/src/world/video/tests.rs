//! What the clips promise, whatever they show.

use super::*;
use crate::world::{Colour, Shape};

fn clips(n: usize, seed: u64) -> Vec<VideoSample> {
    let mut rng = Rng::new(seed);
    (0..n).map(|_| sample(&mut rng, SPINS)).collect()
}

/// The pixels that differ from the one in the corner.
fn objects_pixels(frame: &[u8]) -> Vec<usize> {
    let pixels: Vec<&[u8]> = frame.chunks_exact(3).collect();
    (0..pixels.len()).filter(|&i| pixels[i] != pixels[0]).collect()
}

#[test]
fn held_out_combinations_and_spins_that_cannot_be_seen_never_come_up() {
    for VideoSample { caption, clip } in clips(3000, 1) {
        let object = clip.object();
        assert!(!held_out::held_out(object.shape, object.colour), "{caption}");
        assert!(clip.motion.shows_on(object.shape), "{caption}");
    }
}

#[test]
fn every_object_stays_inside_and_stands_out() {
    for VideoSample { caption, clip } in clips(300, 2) {
        for (width, height) in [(32, 32), (64, 64), (96, 64)] {
            let frames = clip.render(width, height, 8);
            assert_eq!(frames.len(), 8);
            assert!(!objects_pixels(&frames[0]).is_empty(), "the first frame is empty: {caption}");
            let (width, height) = (width as usize, height as usize);
            for pixel in frames.iter().flat_map(|frame| objects_pixels(frame)) {
                let (x, y) = (pixel % width, pixel / width);
                assert!(x > 0 && y > 0 && x + 1 < width && y + 1 < height, "({x}, {y}): {caption}");
            }
        }
    }
}

#[test]
fn frames_follow_from_their_phase_alone() {
    for VideoSample { caption, clip } in clips(40, 3) {
        let (few, many) = (clip.render(48, 48, 5), clip.render(48, 48, 9));
        for (i, frame) in few.iter().enumerate() {
            assert_eq!(*frame, many[2 * i], "{caption}");
        }
        assert_eq!(clip.render(48, 48, 1), few[..1]);
    }
}

#[test]
fn every_spin_is_seen_from_frame_to_frame() {
    let mut rng = Rng::new(4);
    for shape in Shape::ALL.into_iter().filter(|&shape| Motion::Spins.shows_on(shape)) {
        for frames in [8, 16] {
            let clip = Clip::sample(&mut rng, shape, Colour::Red, Motion::Spins);
            for pair in clip.render(64, 64, frames).windows(2) {
                let differs = |(a, b): &(&u8, &u8)| a.abs_diff(**b) > 40;
                let changed = pair[0].iter().zip(&pair[1]).filter(differs).count();
                assert!(changed > 20, "{changed} bytes differ where a {} spins", shape.name());
            }
        }
    }
}

#[test]
fn as_many_clips_spin_as_are_asked_for() {
    const CLIPS: usize = 4000;
    // Four standard deviations of a share of so many.
    const TOLERANCE: f32 = 0.032;
    for share in [0.0, SPINS, 0.65, 1.0] {
        let mut rng = Rng::new(6);
        let spin = (0..CLIPS).filter(|_| sample(&mut rng, share).clip.motion.spins()).count() as f32 / CLIPS as f32;
        assert!((spin - share).abs() < TOLERANCE, "{spin} of the clips spin, where {share} should");
    }
}

#[test]
fn captions_say_what_the_clip_shows() {
    let samples = clips(10_000, 5);
    for VideoSample { caption, clip } in &samples {
        let (object, words) = (clip.object(), caption.to_lowercase());
        assert!(words.contains(object.colour.name()) && words.contains(object.shape.name()), "{caption}");
        let towards = |direction: Direction| match direction {
            Direction::Left | Direction::Right => direction.name(),
            Direction::Up => {
                if words.contains(" up") {
                    " up"
                } else {
                    " top"
                }
            }
            Direction::Down => {
                if words.contains(" down") {
                    " down"
                } else {
                    " bottom"
                }
            }
        };
        assert!(clip.motion.direction().is_none_or(|direction| words.contains(towards(direction))), "{caption}");
    }
    let both = samples.iter().filter(|sample| matches!(sample.clip.motion, Motion::MovesAndSpins(_))).count();
    assert!((2000..2400).contains(&both), "{both} moves with a spin in 10 000");
    assert!(corpus(20, 5).eq(samples.into_iter().take(20).map(|sample| sample.caption)));
}

#[test]
fn plain_sentences_are_among_the_captions() {
    let mut rng = Rng::new(6);
    let right = Direction::Right;
    for (shape, colour, motion, caption) in [
        (Shape::Star, Colour::Red, Motion::MovesAndSpins(right), "a red star moves right and spins"),
        (Shape::Square, Colour::Blue, Motion::Moves(right), "a blue square moving to the right"),
        (Shape::Cross, Colour::Pink, Motion::Blinks, "a pink cross that blinks"),
        (Shape::Heart, Colour::Green, Motion::Spins, "one green heart spins"),
    ] {
        let clip = Clip::sample(&mut rng, shape, colour, motion);
        let mention = Mention { size: false, background: false };
        let is_said = (0..2000).any(|_| captions::write(&clip, mention, &mut rng) == caption);
        assert!(is_said, "never said: {caption}");
    }
}
