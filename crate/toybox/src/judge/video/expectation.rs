//! What a caption asks for, as the committed list states it.

use serde::{Deserialize, Serialize};

/// One line of the list: a caption, the clip to make for it, and what must be seen there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoExpectation {
    pub caption: String,
    /// Width and height in pixels.
    pub size: [u32; 2],
    pub frames: usize,
    pub shape: String,
    pub colour: String,
    /// All that it does: moves, spins, grows, shrinks, bounces, circles, blinks.
    pub motions: Vec<String>,
    /// Where it moves to: left, right, up or down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// Whether the combination was kept out of training.
    pub held_out: bool,
}
