//! What a caption asks for, as the committed list states it.

use serde::{Deserialize, Serialize};

/// One line of the list: a caption, what to make for it, and what must be seen there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewsExpectation {
    pub caption: String,
    /// Width and height of each view in pixels.
    pub size: [u32; 2],
    pub views: usize,
    pub solid: String,
    pub colour: String,
    /// Matte or shiny; absent where the caption leaves it open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub material: Option<String>,
    /// Whether the combination was kept out of training.
    pub held_out: bool,
}
