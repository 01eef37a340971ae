//! Waveform → WAV file: 16 bits, one channel.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::error::{Error, Result};

/// The bytes of a file that plays the samples, of which 1 is the loudest; louder ones are cut.
///
/// # Errors
/// `bad-request` for a sample that is no number, or for more than a file holds.
pub fn wav(samples: &[f32], sample_rate: u32) -> Result<Vec<u8>> {
    if let Some(place) = samples.iter().position(|sample| !sample.is_finite()) {
        return Err(Error::bad_request("sound")
            .expected("numbers")
            .found(format!("{} at sample {place}", samples[place])));
    }
    let refuse = |error: hound::Error| Error::bad_request("sound").found(error.to_string());
    let spec = WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut bytes = Vec::with_capacity(2 * samples.len() + 64);
    let mut writer = WavWriter::new(Cursor::new(&mut bytes), spec).map_err(refuse)?;
    for sample in samples {
        let value = (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16;
        writer.write_sample(value).map_err(refuse)?;
    }
    writer.finalize().map_err(refuse)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use hound::WavReader;

    use super::*;

    #[test]
    fn a_reader_gets_the_samples_back() {
        let bytes = wav(&[0.0, 0.5, -1.0, 2.0], 16_000).expect("a file");
        assert_eq!(bytes, wav(&[0.0, 0.5, -1.0, 2.0], 16_000).expect("a file"));
        let mut reader = WavReader::new(&bytes[..]).expect("what was written");
        assert_eq!((reader.spec().channels, reader.spec().sample_rate, reader.spec().bits_per_sample), (1, 16_000, 16));
        let samples: Vec<i16> = reader.samples().map(|sample| sample.expect("a sample")).collect();
        assert_eq!(samples, [0, 16_384, -32_767, 32_767]);
        assert_eq!(WavReader::new(&wav(&[], 8_000).expect("a file")[..]).expect("a file").len(), 0);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let error = wav(&[0.0, f32::NAN], 16_000).expect_err("not a number");
        assert_eq!(error.to_string(), "sound: expected numbers, found NaN at sample 1");
    }
}
