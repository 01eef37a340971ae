//! The learning rate over the training.

use super::recipe::Stage;

/// The share of the peak rate that is left at the end.
const FLOOR: f64 = 0.02;

/// Linear warm-up, then a cosine down to [`FLOOR`].
pub fn learning_rate(stage: &Stage, pictures: u64) -> f64 {
    let warmup = (pictures as f64 + 1.0) / stage.warmup.max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * f64::from(stage.progress(pictures))).cos());
    stage.learning_rate * warmup.min(1.0) * (FLOOR + (1.0 - FLOOR) * cosine)
}
