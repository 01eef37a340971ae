//! The committed list of captions to judge by: written once, before training, from a fixed seed.

use std::path::Path;

use anyhow::Result;

use super::{Expectation, ExpectedObject, lines};
use crate::world::captions::{self, Mention};
use crate::world::{Background, Colour, Layout, Place, Relation, Rng, Scene, Shape, Size, held_out};

const SEED: u64 = 0x70_79_62_6F_78;
const SINGLES: usize = 200;
const HELD_OUT_SINGLES: usize = 60;
const PAIRS: usize = 15;
const HELD_OUT_PAIRS: usize = 10;
const COUNTS: usize = 15;

/// Writes the list as JSON lines. The same list every time.
pub fn write(path: &Path) -> Result<()> {
    lines::write(path, draw(SEED).into_iter().map(|(expectation, _)| expectation))
}

/// The expectations of a list, each with a scene that fulfils it.
pub(super) fn draw(seed: u64) -> Vec<(Expectation, Scene)> {
    let mut rng = Rng::new(seed);
    let mut list = Vec::new();
    for i in 0..SINGLES + HELD_OUT_SINGLES {
        let scene = single(&mut rng, i, i >= SINGLES);
        list.push(state(scene, &mut rng, i >= SINGLES));
    }
    for i in 0..PAIRS + HELD_OUT_PAIRS {
        let (subject, relation, object) = held_out::pair(&mut rng, i >= PAIRS);
        let scene = Scene::pair(&mut rng, subject, relation, object);
        list.push(state(scene, &mut rng, i >= PAIRS));
    }
    for i in 0..COUNTS {
        let (shape, colour) = held_out::combination(&mut rng, false);
        let scene = Scene::count(&mut rng, shape, colour, 2 + i % 2);
        list.push(state(scene, &mut rng, false));
    }
    list
}

/// The `i`th single object: shapes, colours and places take turns, so that none is missed.
fn single(rng: &mut Rng, i: usize, held: bool) -> Scene {
    let colours = (0..12).map(|turn| Colour::ALL[(i + i / 10 + turn) % 12]);
    let combinations = colours.flat_map(|colour| (0..10).map(move |turn| (Shape::ALL[(i + turn) % 10], colour)));
    let mut wanted = combinations.filter(|&(shape, colour)| held_out::held_out(shape, colour) == held);
    let (shape, colour) = wanted.next().expect("some combinations are held out, most are not");
    let size = if rng.chance(0.6) { Size::Large } else { Size::Small };
    Scene::single_at(rng, shape, colour, size, Place::ALL[(i + i / 12) % 9])
}

/// Writes a caption for a scene and states what it asks for.
fn state(scene: Scene, rng: &mut Rng, held_out: bool) -> (Expectation, Scene) {
    let single = matches!(scene.layout, Layout::Single(_));
    let mention = Mention { place: single && rng.chance(0.9), ..Mention::sample(rng, &scene) };
    let expected = scene.objects.iter().map(|object| ExpectedObject {
        shape: object.shape.name().into(),
        colour: object.colour.name().into(),
        size: mention.size.then(|| size_name(object.size).into()),
        place: place_name(scene.layout).filter(|_| mention.place).map(Into::into),
    });
    let expectation = Expectation {
        caption: captions::write(&scene, mention, rng),
        size: rng.choose(&[[64, 64], [64, 64], [64, 64], [64, 64], [128, 64], [64, 128]]),
        objects: expected.collect(),
        relation: relation_name(scene.layout).map(Into::into),
        count: (scene.layout == Layout::Count).then_some(scene.objects.len()),
        background: background_name(scene.background).filter(|_| mention.background).map(Into::into),
        held_out,
    };
    (expectation, scene)
}

fn size_name(size: Size) -> &'static str {
    match size {
        Size::Small => "small",
        Size::Large => "large",
    }
}

fn place_name(layout: Layout) -> Option<&'static str> {
    let Layout::Single(place) = layout else { return None };
    Some(match place {
        Place::Centre => "centre",
        Place::Left => "left",
        Place::Right => "right",
        Place::Top => "top",
        Place::Bottom => "bottom",
        Place::TopLeft => "top left",
        Place::TopRight => "top right",
        Place::BottomLeft => "bottom left",
        Place::BottomRight => "bottom right",
    })
}

fn relation_name(layout: Layout) -> Option<&'static str> {
    let Layout::Pair(relation) = layout else { return None };
    Some(match relation {
        Relation::Above => "above",
        Relation::Below => "below",
        Relation::LeftOf => "left",
        Relation::RightOf => "right",
    })
}

/// Only plain backgrounds are judged.
fn background_name(background: Background) -> Option<&'static str> {
    match background {
        Background::Plain(colour) => Some(colour.name()),
        Background::Gradient(..) | Background::Night | Background::Grass => None,
    }
}
