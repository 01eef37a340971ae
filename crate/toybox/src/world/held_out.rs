//! The tenth of all combinations that training never sees.
//!
//! The choice is a fixed linear hash, so it is spread evenly: every colour lacks exactly one shape, and every colour
//! in every relation lacks exactly one. A (shape, colour) that is held out appears in no training picture at all;
//! a (shape, colour, relation) is held out from both ends: "a above b" also counts as "b below a".

use super::{Colour, Relation, Rng, Shape};

/// What an object is called by.
pub type Combination = (Shape, Colour);

/// Whether single objects of this shape and colour are kept for the judge.
pub fn held_out(shape: Shape, colour: Colour) -> bool {
    (shape as usize + 3 * colour as usize) % 10 == 7
}

/// Whether a pair is kept for the judge for the sake of its relation.
pub fn held_out_pair(subject: Combination, relation: Relation, object: Combination) -> bool {
    let triple = |(shape, colour): Combination, relation: Relation| {
        (7 * shape as usize + colour as usize + 2 * relation as usize) % 10 == 5
    };
    triple(subject, relation) || triple(object, relation.inverse())
}

/// Draws a combination: one that is trained on, or one that is held out.
pub fn combination(rng: &mut Rng, held: bool) -> Combination {
    loop {
        let (shape, colour) = (rng.choose(&Shape::ALL), rng.choose(&Colour::ALL));
        if held_out(shape, colour) == held {
            return (shape, colour);
        }
    }
}

/// Draws two objects and the relation between them. Each object alone is trained on; the pair is or is not, as asked.
pub fn pair(rng: &mut Rng, held: bool) -> (Combination, Relation, Combination) {
    loop {
        let (subject, object) = (combination(rng, false), combination(rng, false));
        let relation = rng.choose(&Relation::ALL);
        if !subject.1.clashes(object.1) && held_out_pair(subject, relation, object) == held {
            return (subject, relation, object);
        }
    }
}
