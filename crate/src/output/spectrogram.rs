//! Log-mel spectrogram → picture, for previews and for the eye.

use crate::progress::Image;

/// Pixels a band is high, and a frame wide.
const SCALE: usize = 2;

/// The colours of Matplotlib's magma (CC0), at equal distances from silence to the loudest.
const MAGMA: [[u8; 3]; 17] = [
    [0, 0, 4],
    [10, 8, 34],
    [24, 15, 62],
    [47, 17, 99],
    [68, 15, 118],
    [92, 22, 127],
    [114, 31, 129],
    [136, 39, 129],
    [158, 47, 127],
    [183, 55, 121],
    [205, 64, 113],
    [225, 82, 103],
    [241, 96, 93],
    [250, 127, 94],
    [254, 159, 109],
    [254, 202, 141],
    [252, 253, 191],
];

/// A picture of a spectrogram, low bands at the bottom, from its quietest value to its loudest. Where all are equal, and
/// where one is no number, it is dark.
///
/// # Shapes
/// - mel: `[bands, frames]`
pub fn spectrogram(mel: &[f32], bands: usize, frames: usize) -> Image {
    assert_eq!(mel.len(), bands * frames, "a spectrogram has a value for every band and frame");
    let finite = mel.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let (width, height) = (frames * SCALE, bands * SCALE);
    let pixel = |i: usize| {
        let band = bands - 1 - i / width / SCALE;
        let loudness = (mel[band * frames + i % width / SCALE] - low) / (high - low);
        magma(if loudness.is_finite() { loudness } else { 0.0 })
    };
    Image { width, height, rgb: (0..width * height).flat_map(pixel).collect() }
}

/// The colour at `x` from 0 to 1.
fn magma(x: f32) -> [u8; 3] {
    let place = x * (MAGMA.len() - 1) as f32;
    let below = (place as usize).min(MAGMA.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|channel| {
        let [from, to] = [MAGMA[below][channel], MAGMA[below + 1][channel]].map(f32::from);
        (from + (to - from) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_bands_lie_at_the_bottom() {
        let image = spectrogram(&[1.0, 0.0, 0.0, 0.5, 0.0, 0.0], 2, 3);
        assert_eq!((image.width, image.height, image.rgb.len()), (6, 4, 6 * 4 * 3));
        let pixel = |x: usize, y: usize| &image.rgb[(y * 6 + x) * 3..][..3];
        assert_eq!(pixel(0, 3), MAGMA[16]);
        assert_eq!(pixel(1, 1), MAGMA[8]);
        assert_eq!(pixel(5, 3), MAGMA[0]);
    }

    #[test]
    fn what_cannot_be_shown_is_dark() {
        assert!(spectrogram(&[2.0; 4], 2, 2).rgb.chunks(3).all(|pixel| pixel == MAGMA[0]));
        let image = spectrogram(&[f32::NAN, 1.0, 0.0, f32::INFINITY], 1, 4);
        assert_eq!(image.rgb[..3], MAGMA[0]);
        assert_eq!(image.rgb[SCALE * 3..][..3], MAGMA[16]);
        assert_eq!(spectrogram(&[], 80, 0).rgb.len(), 0);
    }
}
