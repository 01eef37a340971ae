//! How the statistics of a sample and those of the whole picture are told apart and brought together.

use burn::tensor::Tensor;

use crate::{
    decode::vae_blocks::EPSILON,
    error::{Error, Result},
    nn::norm::Moments,
};

/// The whole's statistics as the sample sees them, for every norm and group, `[norms, groups]`.
pub(super) struct Correction {
    /// How far the means are apart, in the sample's standard deviations.
    shift: Tensor<2>,
    /// The whole's variance over the sample's.
    ratio: Tensor<2>,
}

impl Correction {
    /// From what both have where the norms before go by the same statistics.
    pub fn new(sample: &Moments, whole: &Moments) -> Self {
        let variance = sample.variance.clone() + EPSILON;
        Self {
            shift: (whole.mean.clone() - sample.mean.clone()) / variance.clone().sqrt(),
            ratio: (whole.variance.clone() + EPSILON) / variance,
        }
    }

    /// What the whole is expected to have where the sample has this, for norm number `norm`.
    pub fn apply(&self, sample: &Moments, norm: usize) -> Moments {
        let of = |x: &Tensor<2>| x.clone().narrow(0, norm, 1); // [1, groups]
        let variance = sample.variance.clone() + EPSILON;
        Moments {
            mean: sample.mean.clone() + variance.clone().sqrt() * of(&self.shift),
            variance: (variance * of(&self.ratio) - EPSILON).clamp_min(0.0),
        }
    }
}

/// The statistics of the whole, from those of its tiles.
pub(super) struct Sum {
    /// Means are taken from these, so that no digits are lost.
    origin: Tensor<2>,
    shift: Tensor<2>,
    square: Tensor<2>,
}

impl Sum {
    /// Of nothing; `near` are about what will come out.
    pub fn new(near: &Moments) -> Self {
        Self { origin: near.mean.clone(), shift: near.mean.zeros_like(), square: near.mean.zeros_like() }
    }

    /// A tile that is this share of the whole.
    pub fn add(&mut self, moments: Moments, share: f64) {
        let apart = moments.mean - self.origin.clone();
        self.shift = self.shift.clone() + apart.clone() * share;
        self.square = self.square.clone() + (moments.variance + apart.square()) * share;
    }

    /// Waits for the device.
    pub async fn wait(&self) -> Result<()> {
        read(self.shift.clone().sum()).await.map(drop)
    }

    pub fn moments(self) -> Moments {
        let variance = (self.square - self.shift.clone().square()).clamp_min(0.0);
        Moments { mean: self.origin + self.shift, variance }
    }
}

/// The largest difference of a mean or a standard deviation, as a part of the standard deviation.
pub(super) async fn distance(taken: &Moments, measured: &Moments) -> Result<f64> {
    let deviation = |moments: &Moments| (moments.variance.clone() + EPSILON).sqrt();
    let scale = deviation(measured);
    let mean = (taken.mean.clone() - measured.mean.clone()) / scale.clone();
    let spread = deviation(taken) / scale - 1.0;
    let both = Tensor::cat(vec![mean, spread], 0).abs();
    // Sums, unlike maxima, carry NaN along on every backend.
    read(both.clone().max() + both.sum() * 0.0).await
}

async fn read(number: Tensor<1>) -> Result<f64> {
    let number = number.into_scalar_async::<f32>().await;
    number.map(f64::from).map_err(|error| Error::device_lost("the decoder's statistics", error))
}
