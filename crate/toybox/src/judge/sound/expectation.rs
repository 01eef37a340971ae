//! What a caption asks for, as the committed list states it.

use serde::{Deserialize, Serialize};

/// One line of the list: a caption, the length of the sound to make for it, and what must be heard there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoundExpectation {
    pub caption: String,
    pub seconds: f32,
    pub timbre: String,
    pub pitch: String,
    pub pattern: String,
    /// Whether the combination was kept out of training.
    pub held_out: bool,
}
