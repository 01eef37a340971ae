//! The learning rate over the training.

use super::recipe::Stage;

/// The share of the peak rate that is left at the end.
const FLOOR: f64 = 0.02;

/// Linear warm-up over the first pictures, and a cosine down to [`FLOOR`] as the whole makes `progress`, 0 to 1.
pub fn learning_rate(stage: &Stage, pictures: u64, progress: f64) -> f64 {
    let warmup = (pictures as f64 + 1.0) / stage.warmup.max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    stage.learning_rate * warmup.min(1.0) * (FLOOR + (1.0 - FLOOR) * cosine)
}
