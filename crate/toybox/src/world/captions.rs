//! The caption grammar: several true ways of saying what a scene shows.

use super::{Background, Curriculum, Fill, Layout, Object, Place, Relation, Rng, Scene, Size, sample};

/// What a caption says; the rest is left to chance. Fills other than solid are always said.
#[derive(Clone, Copy, Debug)]
pub struct Mention {
    pub colour: bool,
    pub size: bool,
    pub place: bool,
    pub background: bool,
}

impl Mention {
    pub const SHAPE_ONLY: Self = Self { colour: false, size: false, place: false, background: false };

    /// Draws what to say about a scene. Only a single object has a place, and objects that are counted have no size.
    pub fn sample(rng: &mut Rng, scene: &Scene) -> Self {
        let single = matches!(scene.layout, Layout::Single(_));
        let plain = matches!(scene.background, Background::Plain(_));
        let centred = scene.layout == Layout::Single(Place::Centre);
        Self {
            colour: true,
            size: scene.layout != Layout::Count && rng.chance(if single { 0.6 } else { 0.35 }),
            place: single && rng.chance(if centred { 0.4 } else { 0.85 }),
            background: !plain || rng.chance(0.8),
        }
    }
}

/// Captions without their scenes, for training a tokenizer: every fifth from the simple part of the world.
pub fn corpus(n: usize, seed: u64) -> impl Iterator<Item = String> {
    let mut rng = Rng::new(seed);
    (0..n).map(move |i| {
        let curriculum = if i % 5 == 0 { Curriculum::Simple } else { Curriculum::Full };
        sample(&mut rng, curriculum).caption
    })
}

/// Writes one caption that is true of the scene.
pub fn write(scene: &Scene, mention: Mention, rng: &mut Rng) -> String {
    let subject = match scene.layout {
        Layout::Single(_) => noun_phrase(&scene.objects[0], mention, rng),
        Layout::Count => counted(&scene.objects, mention, rng),
        Layout::Pair(relation) => {
            let first = noun_phrase(&scene.objects[0], mention, rng);
            let second = noun_phrase(&scene.objects[1], mention, rng);
            format!("{first} {} {second}", relation_words(relation, rng))
        }
    };
    let place = match scene.layout {
        Layout::Single(place) if mention.place => Some(place_words(place, rng)),
        _ => None,
    };
    let background = mention.background.then(|| background_words(scene.background, rng));
    let sentence = match (place, background) {
        (None, None) => subject,
        (Some(place), None) => format!("{subject} {place}"),
        (None, Some(background)) if rng.chance(0.1) => format!("{background}, {subject}"),
        (None, Some(background)) => format!("{subject} {background}"),
        (Some(place), Some(background)) => match rng.uniform() {
            u if u < 0.1 => format!("{background}, {subject} {place}"),
            u if u < 0.3 => format!("{subject} {background}, {place}"),
            _ => format!("{subject} {place} {background}"),
        },
    };
    finish(sentence, rng)
}

/// Mostly lower case without a full stop, as prompts are typed.
fn finish(sentence: String, rng: &mut Rng) -> String {
    let mut sentence = sentence;
    if rng.chance(0.25) {
        sentence[..1].make_ascii_uppercase();
    }
    if rng.chance(0.06) {
        sentence.push('.');
    }
    sentence
}

/// "a large red star", "One star in red", "red large star".
fn noun_phrase(object: &Object, mention: Mention, rng: &mut Rng) -> String {
    let colour_after = mention.colour && rng.chance(0.06);
    let mut words = adjectives(object, mention, colour_after, rng);
    words.push(object.shape.name());
    if colour_after {
        words.extend(["in", object.colour.name()]);
    }
    let phrase = words.join(" ");
    match rng.uniform() {
        u if u < 0.14 => format!("one {phrase}"),
        u if u < 0.22 => phrase,
        _ => with_article(&phrase),
    }
}

/// "two red circles".
fn counted(objects: &[Object], mention: Mention, rng: &mut Rng) -> String {
    let number = if objects.len() == 2 { "two" } else { "three" };
    let plural = objects[0].shape.plural();
    let mut words = vec![number];
    words.extend(adjectives(&objects[0], mention, false, rng));
    words.push(&plural);
    words.join(" ")
}

fn adjectives(object: &Object, mention: Mention, colour_after: bool, rng: &mut Rng) -> Vec<&'static str> {
    let size = match object.size {
        Size::Large => rng.choose(&["large", "large", "big"]),
        Size::Small => rng.choose(&["small", "small", "little"]),
    };
    let fill = match object.fill {
        Fill::Solid => None,
        Fill::Striped => Some("striped"),
        Fill::Dotted => Some("dotted"),
        Fill::Outlined => Some("outlined"),
    };
    let colour = (mention.colour && !colour_after).then(|| object.colour.name());
    let mut words: Vec<_> = [mention.size.then_some(size), fill, colour].into_iter().flatten().collect();
    if rng.chance(0.15) {
        words.reverse();
    }
    words
}

fn with_article(phrase: &str) -> String {
    let article = if phrase.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {phrase}")
}

fn relation_words(relation: Relation, rng: &mut Rng) -> &'static str {
    match relation {
        Relation::Above => rng.choose(&["above", "above", "over"]),
        Relation::Below => rng.choose(&["below", "below", "under"]),
        Relation::LeftOf => rng.choose(&["left of", "to the left of"]),
        Relation::RightOf => rng.choose(&["right of", "to the right of"]),
    }
}

fn place_words(place: Place, rng: &mut Rng) -> String {
    let corner = |rng: &mut Rng, vertical: [&str; 2], horizontal: &str| {
        let vertical = rng.choose(&[vertical[0], vertical[0], vertical[1]]);
        match rng.below(3) {
            0 => format!("at {vertical} {horizontal}"),
            1 => format!("at the {vertical} {horizontal}"),
            _ => format!("in the {vertical} {horizontal} corner"),
        }
    };
    let (top, bottom) = (["top", "upper"], ["bottom", "lower"]);
    match place {
        Place::Centre => rng.choose(&["in the centre", "in the middle", "at the centre", "in the center"]).into(),
        Place::Left => rng.choose(&["on the left", "at left", "on the left side", "at the left"]).into(),
        Place::Right => rng.choose(&["on the right", "at right", "on the right side", "at the right"]).into(),
        Place::Top => rng.choose(&["at the top", "at top", "on the top side"]).into(),
        Place::Bottom => rng.choose(&["at the bottom", "at bottom", "on the bottom side"]).into(),
        Place::TopLeft => corner(rng, top, "left"),
        Place::TopRight => corner(rng, top, "right"),
        Place::BottomLeft => corner(rng, bottom, "left"),
        Place::BottomRight => corner(rng, bottom, "right"),
    }
}

/// "on a blue background".
pub(super) fn background_words(background: Background, rng: &mut Rng) -> String {
    match background {
        Background::Plain(colour) => {
            let colour = colour.name();
            match rng.uniform() {
                u if u < 0.5 => format!("on {} background", with_article(colour)),
                u if u < 0.65 => format!("with {} background", with_article(colour)),
                u if u < 0.8 => format!("against {colour}"),
                _ => format!("on {colour}"),
            }
        }
        Background::Gradient(top, bottom) => {
            let (top, bottom) = (top.name(), bottom.name());
            match rng.below(2) {
                0 => format!("on a gradient from {top} to {bottom}"),
                _ => format!("on {} to {bottom} gradient", with_article(top)),
            }
        }
        Background::Night => rng.choose(&["in a starry night", "at night with stars", "in the night sky"]).into(),
        Background::Grass => rng.choose(&["on grass under the sky", "over green grass", "with grass and sky"]).into(),
    }
}
