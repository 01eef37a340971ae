//! Pictures: sizes in pixels, latents of one frame, 8-bit RGB.

use burn::tensor::Tensor;

use crate::{
    error::{Error, Result},
    progress::Image,
    weights::manifest::Sizes,
};

/// The size that a request asks for, or the native one.
///
/// # Errors
///
/// `bad-request` that names the nearest sizes the model can make.
pub fn size(sizes: &Sizes, width: Option<usize>, height: Option<usize>) -> Result<(usize, usize)> {
    let native = |side: usize| sizes.native.get(side).copied().unwrap_or(sizes.multiple) as usize;
    let (width, height) = (width.unwrap_or(native(0)), height.unwrap_or(native(1)));
    let multiple = sizes.multiple as usize;
    let most = [0, 1].map(|side| sizes.max.get(side).copied().unwrap_or(sizes.multiple) as usize);
    if is_valid(width, multiple, most[0]) && is_valid(height, multiple, most[1]) {
        return Ok((width, height));
    }
    let heights = nearest(height, multiple, most[1]);
    let choices = nearest(width, multiple, most[0]);
    let choices = choices.iter().flat_map(|w| heights.iter().map(move |h| format!("{w}x{h}")));
    Err(Error::bad_request("size")
        .expected(format!("multiples of {multiple}, from {multiple}x{multiple} to {}x{}", most[0], most[1]))
        .found(format!("{width}x{height}"))
        .remedy(format!("the nearest: {}", choices.collect::<Vec<_>>().join(", "))))
}

fn is_valid(length: usize, multiple: usize, most: usize) -> bool {
    (multiple..=most).contains(&length) && length.is_multiple_of(multiple)
}

/// The valid lengths next to `length`: itself, the bound beyond which it lies, or one on each side.
fn nearest(length: usize, multiple: usize, most: usize) -> Vec<usize> {
    let inside = length.clamp(multiple, most / multiple * multiple);
    let below = inside / multiple * multiple;
    if below == inside { vec![below] } else { vec![below, below + multiple] }
}

/// A decoded picture `[1, 3, H, W]` of about −1 … 1 as 8-bit RGB: (y + 1) / 2, clamped and rounded.
///
/// # Errors
///
/// `device-lost` if the pixels cannot be read back, `bad-model` if they are no finite numbers.
pub async fn to_image(picture: Tensor<4>) -> Result<Image> {
    let [_, _, height, width] = picture.dims();
    let pixels = picture.permute([0, 2, 3, 1]).reshape([height * width * 3]); // [H·W·3]
    let data = pixels.into_data_async().await.map_err(|error| Error::device_lost("the pixels", error))?;
    if !data.iter::<f32>().all(f32::is_finite) {
        return Err(Error::bad_model("decoded picture")
            .expected("finite pixels")
            .found("infinite ones or NaN")
            .remedy("the autoencoder's weights may be damaged: get the model again"));
    }
    let level = |value: f32| ((value + 1.0) * 127.5).clamp(0.0, 255.0).round() as u8;
    Ok(Image { width, height, rgb: data.iter::<f32>().map(level).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Sizes {
        Sizes {
            native: vec![64, 64],
            multiple: 16,
            max: vec![256, 128],
            frames: None,
            trained_tokens: None,
            extrapolation: None,
        }
    }

    #[test]
    fn sizes_default_to_the_native_one() -> Result<()> {
        assert_eq!(size(&sizes(), None, None)?, (64, 64));
        assert_eq!(size(&sizes(), Some(256), Some(16))?, (256, 16));
        Ok(())
    }

    #[test]
    fn a_refused_size_names_the_nearest() {
        let remedy = |width, height| match size(&sizes(), Some(width), Some(height)) {
            Ok(size) => panic!("{width}x{height} was taken as {size:?}"),
            Err(error) => error.to_string(),
        };
        assert!(remedy(70, 64).ends_with("the nearest: 64x64, 80x64"), "{}", remedy(70, 64));
        assert!(remedy(0, 64).ends_with("the nearest: 16x64"), "{}", remedy(0, 64));
        assert!(remedy(usize::MAX, usize::MAX).ends_with("the nearest: 256x128"));
        assert!(remedy(70, 70).ends_with("the nearest: 64x64, 64x80, 80x64, 80x80"));
    }
}
