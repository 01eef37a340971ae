//! What a caption asks for, as the committed list states it.

use serde::{Deserialize, Serialize};

/// One object that a caption names. What it leaves open is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpectedObject {
    pub shape: String,
    pub colour: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// One line of the list: a caption, the size of the picture to make for it, and what must be seen there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    pub caption: String,
    /// Width and height in pixels.
    pub size: [u32; 2],
    pub objects: Vec<ExpectedObject>,
    /// Where the first object is, seen from the second: above, below, left or right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// Whether the combination was kept out of training.
    pub held_out: bool,
}
