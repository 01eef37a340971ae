//! Sound: seconds to frames of a log-mel spectrogram, and the spectrogram back to numbers.

use burn::tensor::Tensor;

use crate::{
    decode::mel::MelConfig,
    error::{Error, Result},
    weights::manifest::Sizes,
};

/// How long a sound is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Length {
    /// As asked for.
    pub seconds: f64,
    /// Samples of its waveform.
    pub samples: usize,
    /// Frames of its spectrogram: whole tokens that cover the samples.
    pub frames: usize,
}

/// The length that a request asks for, or the native one. `memory` tells the bytes that so many frames would need.
///
/// # Errors
///
/// `bad-request` that names the limits, and what a length beyond them would need.
pub fn length(sizes: &Sizes, mel: &MelConfig, asked: Option<f64>, memory: impl Fn(usize) -> f64) -> Result<Length> {
    const MIB: f64 = 1024.0 * 1024.0;
    let multiple = sizes.multiple as usize;
    let bound = |sides: &[u32]| sides.first().map_or(multiple, |&frames| frames as usize);
    let rate = f64::from(mel.sample_rate);
    let seconds_of = |frames: usize| (frames * mel.hop) as f64 / rate;
    let most = bound(&sizes.max) / multiple * multiple;
    let seconds = asked.unwrap_or_else(|| seconds_of(bound(&sizes.native)));
    let least = 1.0 / rate;
    if (least..=seconds_of(most)).contains(&seconds) {
        let samples = ((seconds * rate).round() as usize).max(1);
        return Ok(Length { seconds, samples, frames: samples.div_ceil(mel.hop).next_multiple_of(multiple) });
    }
    let mut error = Error::bad_request("seconds")
        .expected(format!("above 0, at most {}", seconds_of(most)))
        .found(seconds.to_string());
    if seconds.is_finite() && seconds > 0.0 {
        let frames = (seconds * rate / mel.hop as f64).min(1e12) as usize;
        let [needed, allowed] = [frames, most].map(|frames| memory(frames) / MIB);
        error = error.remedy(format!("it would take about {needed:.0} MiB; the longest takes {allowed:.0}"));
    }
    Err(error)
}

/// The values of a spectrogram `[1, 1, bands, T]`, band after band.
///
/// # Errors
///
/// `device-lost` if they cannot be read back.
pub async fn values(spectrogram: Tensor<4>) -> Result<Vec<f32>> {
    let data = spectrogram.into_data_async().await.map_err(|error| Error::device_lost("the spectrogram", error))?;
    Ok(data.iter::<f32>().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mel() -> MelConfig {
        MelConfig {
            sample_rate: 16_000,
            window: 1024,
            hop: 256,
            bands: 80,
            floor: 1e-2,
            mean: 0.0,
            std: 1.0,
            iterations: 1,
        }
    }

    fn asked(seconds: Option<f64>) -> Result<Length> {
        let sizes = Sizes {
            native: vec![128],
            multiple: 4,
            max: vec![1024],
            frames: None,
            trained_tokens: None,
            extrapolation: None,
        };
        length(&sizes, &mel(), seconds, |frames| frames as f64 * 1024.0 * 1024.0)
    }

    #[test]
    fn seconds_become_whole_tokens_that_cover_them() -> Result<()> {
        assert_eq!(asked(None)?, Length { seconds: 2.048, samples: 32_768, frames: 128 });
        assert_eq!(asked(Some(2.0))?, Length { seconds: 2.0, samples: 32_000, frames: 128 });
        assert_eq!(asked(Some(1e-4))?, Length { seconds: 1e-4, samples: 2, frames: 4 });
        assert_eq!(asked(Some(16.384))?.frames, 1024);
        Ok(())
    }

    #[test]
    fn what_is_no_length_is_refused_with_the_limits() {
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            let refusal = asked(Some(seconds)).expect_err("no length").to_string();
            assert!(refusal.starts_with("seconds: expected above 0, at most 16.384"), "{refusal}");
        }
        let refusal = asked(Some(32.0)).expect_err("too long").to_string();
        assert!(refusal.ends_with("it would take about 2000 MiB; the longest takes 1024"), "{refusal}");
    }
}
