//! What a picture shows, before it has a size in pixels.

use super::{Colour, Rng, Shape, held_out::Combination};

/// How large an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Small,
    Large,
}

/// How the inside of an object is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    Solid,
    Striped,
    Dotted,
    Outlined,
}

/// Where a single object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Centre,
    Left,
    Right,
    Top,
    Bottom,
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl Place {
    pub const ALL: [Self; 9] = [
        Self::Centre,
        Self::Left,
        Self::Right,
        Self::Top,
        Self::Bottom,
        Self::TopLeft,
        Self::TopRight,
        Self::BottomLeft,
        Self::BottomRight,
    ];

    /// As fractions of the picture's width and height.
    fn centre(self) -> (f32, f32) {
        let (low, middle, high) = (0.27, 0.5, 0.73);
        match self {
            Self::Centre => (middle, middle),
            Self::Left => (low, middle),
            Self::Right => (high, middle),
            Self::Top => (middle, low),
            Self::Bottom => (middle, high),
            Self::TopLeft => (low, low),
            Self::TopRight => (high, low),
            Self::BottomLeft => (low, high),
            Self::BottomRight => (high, high),
        }
    }
}

/// Where the first of two objects stands, seen from the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Above,
    Below,
    LeftOf,
    RightOf,
}

impl Relation {
    pub const ALL: [Self; 4] = [Self::Above, Self::Below, Self::LeftOf, Self::RightOf];

    /// The same fact told from the other object.
    pub fn inverse(self) -> Self {
        match self {
            Self::Above => Self::Below,
            Self::Below => Self::Above,
            Self::LeftOf => Self::RightOf,
            Self::RightOf => Self::LeftOf,
        }
    }
}

/// What lies behind the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    Plain(Colour),
    /// From the first colour at the top to the second at the bottom.
    Gradient(Colour, Colour),
    /// A dark sky with stars.
    Night,
    /// Grass below, sky above.
    Grass,
}

/// What the objects of a scene are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One object at a place.
    Single(Place),
    /// Two objects, the first in this relation to the second.
    Pair(Relation),
    /// Several objects that are alike.
    Count,
}

/// A shape in a scene.
#[derive(Clone, Debug)]
pub struct Object {
    pub shape: Shape,
    pub colour: Colour,
    pub size: Size,
    pub fill: Fill,
    /// The middle, as fractions of the picture's width and height.
    pub(super) centre: (f32, f32),
    /// How far it is across, as a fraction of the picture's smaller side.
    pub(super) extent: f32,
    /// Rotation in degrees, clockwise.
    pub(super) angle: f32,
}

/// A background and one to three objects.
#[derive(Clone, Debug)]
pub struct Scene {
    pub background: Background,
    pub layout: Layout,
    pub objects: Vec<Object>,
    /// Scatters the stars of a night.
    pub(super) seed: u64,
}

impl Scene {
    /// One object, more often large than small and more often in the centre than in any other place.
    pub fn single(rng: &mut Rng, shape: Shape, colour: Colour) -> Self {
        let size = if rng.chance(0.65) { Size::Large } else { Size::Small };
        let place = if rng.chance(0.15) { Place::Centre } else { rng.choose(&Place::ALL) };
        Self::single_at(rng, shape, colour, size, place)
    }

    /// One object of a given size at a given place.
    pub fn single_at(rng: &mut Rng, shape: Shape, colour: Colour, size: Size, place: Place) -> Self {
        let extent = match size {
            Size::Small => rng.range(0.30, 0.36),
            Size::Large => rng.range(0.50, 0.58),
        };
        let object = object(rng, (shape, colour), size, place.centre(), extent, (0.025, 0.025));
        Self::on_plain(rng, Layout::Single(place), vec![object])
    }

    /// Two objects side by side or one above the other.
    pub fn pair(rng: &mut Rng, subject: Combination, relation: Relation, other: Combination) -> Self {
        let vertical = matches!(relation, Relation::Above | Relation::Below);
        let subject_first = matches!(relation, Relation::Above | Relation::LeftOf);
        let jitter = if vertical { (0.1, 0.01) } else { (0.01, 0.1) };
        let mut objects = Vec::with_capacity(2);
        for (combination, first) in [(subject, subject_first), (other, !subject_first)] {
            let along = if first { 0.245 } else { 0.755 };
            let centre = if vertical { (0.5, along) } else { (along, 0.5) };
            let size = if rng.chance(0.6) { Size::Large } else { Size::Small };
            let extent = match size {
                Size::Small => rng.range(0.24, 0.27),
                Size::Large => rng.range(0.37, 0.41),
            };
            objects.push(object(rng, combination, size, centre, extent, jitter));
        }
        Self::on_plain(rng, Layout::Pair(relation), objects)
    }

    /// Two objects in a row, or three in a row or a triangle, all alike.
    pub fn count(rng: &mut Rng, shape: Shape, colour: Colour, count: usize) -> Self {
        let (centres, extent): (&[(f32, f32)], f32) = match count {
            2 => (&[(0.26, 0.5), (0.74, 0.5)], rng.range(0.33, 0.38)),
            _ if rng.chance(0.3) => (&[(0.165, 0.5), (0.5, 0.5), (0.835, 0.5)], rng.range(0.24, 0.26)),
            _ => (&[(0.5, 0.26), (0.26, 0.74), (0.74, 0.74)], rng.range(0.33, 0.37)),
        };
        let jitter = if count == 2 { (0.01, 0.08) } else { (0.01, 0.01) };
        let alike = |&centre| object(rng, (shape, colour), Size::Small, centre, extent, jitter);
        let objects = centres.iter().map(alike).collect();
        Self::on_plain(rng, Layout::Count, objects)
    }

    /// The same scene with, now and then, another fill or another kind of background.
    pub fn varied(mut self, rng: &mut Rng) -> Self {
        for object in &mut self.objects {
            object.fill = sample_fill(rng, object.shape);
        }
        if self.layout == Layout::Count {
            let fill = self.objects[0].fill;
            self.objects.iter_mut().for_each(|object| object.fill = fill);
        }
        let background = match rng.uniform() {
            u if u < 0.07 => Background::Gradient(self.free_colour(rng), self.free_colour(rng)),
            u if u < 0.11 => Background::Night,
            u if u < 0.15 => Background::Grass,
            _ => return self,
        };
        if self.objects.iter().all(|object| background.shows(object.colour)) {
            self.background = background;
        }
        self
    }

    fn on_plain(rng: &mut Rng, layout: Layout, objects: Vec<Object>) -> Self {
        let mut scene = Self { background: Background::Night, layout, objects, seed: rng.fork().next_u64() };
        scene.background = Background::Plain(scene.free_colour(rng));
        scene
    }

    /// A colour that no object of the scene is hard to tell from.
    fn free_colour(&self, rng: &mut Rng) -> Colour {
        loop {
            let colour = rng.choose(&Colour::ALL);
            if self.objects.iter().all(|object| !object.colour.clashes(colour)) {
                return colour;
            }
        }
    }
}

impl Background {
    /// Whether an object of this colour stands out.
    fn shows(self, colour: Colour) -> bool {
        use Colour::*;
        match self {
            Self::Plain(own) => !own.clashes(colour),
            Self::Gradient(top, bottom) => top != bottom && !top.clashes(colour) && !bottom.clashes(colour),
            Self::Night => !matches!(colour, Black | Blue | Purple | Brown),
            Self::Grass => !matches!(colour, Green | Cyan | Blue | Grey),
        }
    }
}

fn object(
    rng: &mut Rng,
    (shape, colour): Combination,
    size: Size,
    centre: (f32, f32),
    extent: f32,
    jitter: (f32, f32),
) -> Object {
    let centre = (centre.0 + rng.range(-jitter.0, jitter.0), centre.1 + rng.range(-jitter.1, jitter.1));
    Object { shape, colour, size, fill: Fill::Solid, centre, extent, angle: rng.range(-8.0, 8.0) }
}

/// Nine in ten are solid. A circle or ring is never outlined, because the one would look like the other.
fn sample_fill(rng: &mut Rng, shape: Shape) -> Fill {
    match rng.uniform() {
        u if u < 0.90 => Fill::Solid,
        u if u < 0.94 => Fill::Striped,
        u if u < 0.97 => Fill::Dotted,
        _ if matches!(shape, Shape::Circle | Shape::Ring) => Fill::Solid,
        _ => Fill::Outlined,
    }
}
