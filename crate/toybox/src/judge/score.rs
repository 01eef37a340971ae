//! Compares what was measured with what was asked for.

use serde::Serialize;

use super::{Expectation, ExpectedObject, Measurement, measure::MeasuredObject};

/// From which extent on a single object is large.
const LARGE_ALONE: f32 = 0.415;
/// From which extent on an object among others is large.
const LARGE_AMONG_OTHERS: f32 = 0.315;
/// A centroid nearer than this to an edge stands at that edge.
const EDGE: f32 = 0.4;
/// How far apart the centroids of two objects must be for one to be above or beside the other.
const APART: f32 = 0.15;

/// Which of the attributes that the caption asks for came out right; what it leaves open is absent.
///
/// Where a caption names several objects, an attribute is right only if it is right for every one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Verdict {
    pub colour: Option<bool>,
    pub shape: Option<bool>,
    pub place: Option<bool>,
    pub size: Option<bool>,
    /// Right only if the colours are, since they tell which object is which.
    pub relation: Option<bool>,
    /// Exactly so many objects.
    pub count: Option<bool>,
    pub background: Option<bool>,
}

/// Judges one picture.
pub fn score(measurement: &Measurement, expectation: &Expectation) -> Verdict {
    let seen = assign(&measurement.objects, &expectation.objects);
    let pairs: Vec<_> = expectation.objects.iter().zip(&seen).collect();
    let every = |right: &dyn Fn(&ExpectedObject, &MeasuredObject) -> bool| {
        pairs.len() == seen.len() && pairs.iter().all(|(expected, seen)| seen.is_some_and(|seen| right(expected, seen)))
    };
    let asked = |of: fn(&ExpectedObject) -> bool| expectation.objects.iter().any(of);
    let large = if expectation.objects.len() == 1 { LARGE_ALONE } else { LARGE_AMONG_OTHERS };
    let size_right = |expected: &ExpectedObject, seen: &MeasuredObject| {
        expected.size.as_deref().is_none_or(|size| size == if seen.extent >= large { "large" } else { "small" })
    };
    let place_right = |expected: &ExpectedObject, seen: &MeasuredObject| {
        expected.place.as_deref().is_none_or(|place| place == place_of(seen.centre))
    };
    let colour = every(&|expected, seen| expected.colour == seen.colour);
    let shape = every(&|expected, seen| expected.shape == seen.shape);
    let relation = expectation.relation.as_deref().map(|relation| match seen[..] {
        [Some(first), Some(second)] => colour && holds(relation, first.centre, second.centre),
        _ => false,
    });
    Verdict {
        colour: Some(colour),
        shape: Some(shape),
        place: asked(|object| object.place.is_some()).then(|| every(&place_right)),
        size: asked(|object| object.size.is_some()).then(|| every(&size_right)),
        relation,
        count: expectation.count.map(|count| count == measurement.objects.len()),
        background: expectation.background.as_ref().map(|background| background == measurement.background),
    }
}

/// For each expected object the one that was seen, of the largest; two are swapped if they match better that way.
fn assign<'a>(seen: &'a [MeasuredObject], expected: &[ExpectedObject]) -> Vec<Option<&'a MeasuredObject>> {
    let mut assigned: Vec<_> = (0..expected.len()).map(|i| seen.get(i)).collect();
    let matches = |order: &[Option<&MeasuredObject>]| -> usize {
        let one = |(expected, seen): (&ExpectedObject, &Option<&MeasuredObject>)| match seen {
            Some(seen) => 2 * usize::from(seen.colour == expected.colour) + usize::from(seen.shape == expected.shape),
            None => 0,
        };
        expected.iter().zip(order).map(one).sum()
    };
    if let [first, second] = assigned[..]
        && matches(&[second, first]) > matches(&[first, second])
    {
        assigned = vec![second, first];
    }
    assigned
}

/// The name of the ninth of the picture in which a centroid lies.
fn place_of([x, y]: [f32; 2]) -> &'static str {
    const NAMES: [[&str; 3]; 3] =
        [["top left", "top", "top right"], ["left", "centre", "right"], ["bottom left", "bottom", "bottom right"]];
    let third = |at: f32| if at < EDGE { 0 } else { 1 + usize::from(at > 1.0 - EDGE) };
    NAMES[third(y)][third(x)]
}

fn holds(relation: &str, first: [f32; 2], second: [f32; 2]) -> bool {
    let (right, down) = (second[0] - first[0], second[1] - first[1]);
    match relation {
        "above" => down > APART && down > right.abs(),
        "below" => -down > APART && -down > right.abs(),
        "left" => right > APART && right > down.abs(),
        "right" => -right > APART && -right > down.abs(),
        _ => false,
    }
}
