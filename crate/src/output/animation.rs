//! Frames → files that move: GIF, which everything shows, and APNG, which is lossless and carries the request.
//!
//! Both loop for ever. The frames of a GIF share one palette and are not dithered, so what stands still looks still.

use std::borrow::Cow;
use std::collections::BTreeSet;

use color_quant::NeuQuant;
use gif::Repeat;
use png::{BitDepth, ColorType, Compression, EncodingError};

use super::metadata;
use crate::error::{Error, Result};
use crate::progress::{Image, Settings};
use crate::request::MAX_FPS;

/// How many colours a GIF file's palette has at most.
const PALETTE: usize = 256;
/// About how many pixels a palette is learnt from.
const PALETTE_SAMPLES: usize = 1 << 16;

/// The bytes of a GIF file that shows the frames one after the other. Many viewers slow down what is faster than 50
/// frames a second.
///
/// # Errors
/// `bad-request` without frames, for frames that differ in size or are larger than 65 535 pixels a side, and for frames
/// a second that no request may ask for.
pub fn gif(frames: &[Image], fps: f64) -> Result<Vec<u8>> {
    let (width, height) = check(frames, fps)?;
    let refuse = |reason: String| Error::bad_request(format!("a GIF of {width}x{height}")).found(reason);
    let side = |side: u32| u16::try_from(side).map_err(|error| refuse(error.to_string()));
    encode_gif(frames, (side(width)?, side(height)?), fps).map_err(|error| refuse(error.to_string()))
}

fn encode_gif(frames: &[Image], (width, height): (u16, u16), fps: f64) -> Result<Vec<u8>, gif::EncodingError> {
    let palette = Palette::of(frames);
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &palette.rgb())?;
    encoder.set_repeat(Repeat::Infinite)?;
    for (index, image) in frames.iter().enumerate() {
        let buffer = Cow::Owned(image.rgb.chunks_exact(3).map(|pixel| palette.index_of(pixel)).collect());
        let delay = gif_delay(index, fps);
        encoder.write_frame(&gif::Frame { width, height, delay, buffer, ..Default::default() })?;
    }
    encoder.into_inner()?;
    Ok(bytes)
}

/// The bytes of an APNG file that shows the frames one after the other; `settings` go into it.
///
/// # Errors
/// As [`gif`], but with frames of any size.
pub fn apng(frames: &[Image], fps: f64, settings: Option<&Settings>) -> Result<Vec<u8>> {
    let (width, height) = check(frames, fps)?;
    encode_apng(frames, (width, height), fps, settings)
        .map_err(|error| Error::bad_request(format!("an APNG of {width}x{height}")).found(error.to_string()))
}

fn encode_apng(
    frames: &[Image],
    (width, height): (u32, u32),
    fps: f64,
    settings: Option<&Settings>,
) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    encoder.set_animated(frames.len() as u32, 0)?; // Zero: for ever.
    // A fraction of a second in parts of 16 bits. What is too slow for them is shown as slowly as they can say.
    let hundred_frames = (100.0, (fps * 100.0).round());
    let (numerator, denominator) = if fps < 1.0 { ((1000.0 / fps).round(), 1000.0) } else { hundred_frames };
    encoder.set_frame_delay(numerator as u16, denominator as u16)?;
    if let Some(settings) = settings {
        metadata::add_request(&mut encoder, settings)?;
    }
    let mut writer = encoder.write_header()?;
    for image in frames {
        writer.write_image_data(&image.rgb)?;
    }
    writer.finish()?;
    Ok(bytes)
}

/// The size that all frames have.
fn check(frames: &[Image], fps: f64) -> Result<(u32, u32)> {
    if !(fps > 0.0 && fps <= f64::from(MAX_FPS)) {
        let expected = format!("above 0, at most {MAX_FPS}");
        return Err(Error::bad_request("fps").expected(expected).found(fps.to_string()));
    }
    let Some(Image { width, height, .. }) = frames.first() else {
        return Err(Error::bad_request("an animation").expected("frames").found("none"));
    };
    let expected = width.checked_mul(*height).and_then(|pixels| pixels.checked_mul(3));
    for (index, image) in frames.iter().enumerate() {
        let is_whole = expected == Some(image.rgb.len()) && !image.rgb.is_empty();
        if !is_whole || (image.width, image.height) != (*width, *height) {
            return Err(Error::bad_request(format!("frame {index} of an animation"))
                .expected(format!("{width}x{height} pixels"))
                .found(format!("{}x{} in {} bytes", image.width, image.height, image.rgb.len())));
        }
    }
    let side = |side: usize| {
        u32::try_from(side)
            .map_err(|error| Error::bad_request(format!("an animation of {width}x{height}")).found(error.to_string()))
    };
    Ok((side(*width)?, side(*height)?))
}

/// How long a frame is shown, in hundredths of a second: until the next one is due, so that roundings do not add up.
fn gif_delay(index: usize, fps: f64) -> u16 {
    let due = |index: usize| (index as f64 * 100.0 / fps).round();
    (due(index + 1) - due(index)) as u16
}

/// The colours that the frames of a GIF share.
enum Palette {
    /// All that there are, in order.
    Exact(Vec<[u8; 3]>),
    /// Some that stand for all.
    Learnt(Box<NeuQuant>),
}

impl Palette {
    fn of(frames: &[Image]) -> Self {
        let pixels = || frames.iter().flat_map(|image| image.rgb.chunks_exact(3)).map(|p| [p[0], p[1], p[2]]);
        let mut colours = BTreeSet::new();
        for pixel in pixels() {
            colours.insert(pixel);
            if colours.len() > PALETTE {
                let rgba: Vec<u8> = pixels().flat_map(|[red, green, blue]| [red, green, blue, 255]).collect();
                // Every so many pixels are looked at: 1 to 30, as the algorithm wants it.
                let step = (rgba.len() / 4 / PALETTE_SAMPLES).clamp(1, 30);
                return Self::Learnt(Box::new(NeuQuant::new(step as i32, PALETTE, &rgba)));
            }
        }
        Self::Exact(colours.into_iter().collect())
    }

    fn rgb(&self) -> Vec<u8> {
        match self {
            Self::Exact(colours) => colours.concat(),
            Self::Learnt(network) => network.color_map_rgb(),
        }
    }

    /// Where the colour of a pixel is; the same colour always in the same place.
    fn index_of(&self, pixel: &[u8]) -> u8 {
        let index = match self {
            Self::Exact(colours) => {
                colours.binary_search_by(|colour| colour[..].cmp(pixel)).expect("the palette has every colour")
            }
            Self::Learnt(network) => network.index_of(&[pixel[0], pixel[1], pixel[2], 255]),
        };
        index as u8
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::AnimationDecoder as _;
    use image::codecs::gif::GifDecoder;
    use image::codecs::png::PngDecoder;

    use super::*;
    use crate::error::ErrorKind;
    use crate::output::request_of;

    const SIDE: usize = 48;

    /// A disc with soft edges that moves over a plain background; `noise` levels of fixed noise make many colours.
    fn frames(count: usize, noise: usize) -> Vec<Image> {
        let pixel = |frame: usize, index: usize| {
            let (x, y) = ((index % SIDE) as f32, (index / SIDE) as f32);
            let share = (9.0 - (x - 12.0 - 3.0 * frame as f32).hypot(y - 24.0)).clamp(0.0, 1.0);
            let level = |from: f32, to: f32| from + (to - from) * share;
            let colour = [level(40.0, 220.0), level(80.0, 40.0), level(210.0, 44.0)];
            let shift = |channel: usize| {
                let mixed = (index as u32 * 3 + channel as u32).wrapping_mul(0x9E37_79B9);
                (mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA6B) as usize / (u32::MAX as usize / (noise + 1) + 1)
            };
            std::array::from_fn::<u8, 3, _>(|channel| (colour[channel] + shift(channel) as f32) as u8)
        };
        let image = |frame| Image {
            width: SIDE,
            height: SIDE,
            rgb: (0..SIDE * SIDE).flat_map(|index| pixel(frame, index)).collect(),
        };
        (0..count).map(image).collect()
    }

    fn settings() -> Settings {
        serde_json::from_value(serde_json::json!({
            "kind": "video", "prompt": "ein 星 that spins", "negativePrompt": "", "width": SIDE, "height": SIDE,
            "frames": 8, "fps": 8.0, "steps": 20, "guidance": 4.0, "solver": "midpoint", "timeShift": 1.0, "seed": 7,
            "model": "toybox", "modelHash": "0123456789abcdef",
        }))
        .unwrap()
    }

    /// The pixels of each frame and how long it is shown, in milliseconds.
    fn decoded<'a>(decoder: impl image::AnimationDecoder<'a>) -> Vec<(Vec<u8>, f64)> {
        let frame = |frame: image::Frame| {
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            let rgb = image::DynamicImage::from(frame.into_buffer()).into_rgb8();
            assert_eq!(rgb.dimensions(), (SIDE as u32, SIDE as u32));
            (rgb.into_raw(), f64::from(numerator) / f64::from(denominator))
        };
        decoder.into_frames().map(|result| frame(result.unwrap())).collect()
    }

    fn farthest(a: &[u8], b: &[u8]) -> u8 {
        a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn few_colours_are_exact_in_a_gif_and_many_are_near() {
        for (noise, tolerance) in [(0, 0), (8, 16)] {
            let frames = frames(8, noise);
            assert_eq!(matches!(Palette::of(&frames), Palette::Learnt(_)), noise > 0);
            let bytes = gif(&frames, 8.0).unwrap();
            assert_eq!(bytes, gif(&frames, 8.0).unwrap());
            let decoder = GifDecoder::new(Cursor::new(&bytes)).unwrap();
            assert!(matches!(decoder.loop_count(), image::metadata::LoopCount::Infinite));
            let shown = decoded(decoder);
            assert_eq!(shown.len(), 8);
            for (image, (rgb, _)) in frames.iter().zip(&shown) {
                let farthest = farthest(rgb, &image.rgb);
                assert!(farthest <= tolerance, "{farthest} levels off with noise of {noise}");
                // What does not change between the frames does not change in the file.
                assert_eq!(rgb[..SIDE * 12], shown[0].0[..SIDE * 12]);
            }
        }
    }

    #[test]
    fn the_delays_of_a_gif_add_up() {
        for fps in [0.1, 3.0, 7.0, 8.0, 24.0, 30.0, 60.0, 100.0] {
            let shown = decoded(GifDecoder::new(Cursor::new(gif(&frames(9, 0), fps).unwrap())).unwrap());
            let total_ms: f64 = shown.iter().map(|frame| frame.1).sum();
            assert!((total_ms - 9000.0 / fps).abs() <= 5.0, "{total_ms} ms at {fps} frames a second");
            assert!(shown.iter().all(|frame| (frame.1 - 1000.0 / fps).abs() <= 10.0));
        }
    }

    #[test]
    fn an_apng_is_lossless_and_carries_the_request() {
        for (count, fps) in [(1, 8.0), (8, 12.5), (5, 29.97), (3, 0.3), (2, 100.0)] {
            let frames = frames(count, 20);
            let bytes = apng(&frames, fps, Some(&settings())).unwrap();
            assert_eq!(bytes, apng(&frames, fps, Some(&settings())).unwrap());
            let shown = decoded(PngDecoder::new(Cursor::new(&bytes)).unwrap().apng().unwrap());
            assert_eq!(shown.len(), count);
            for (image, (rgb, delay_ms)) in frames.iter().zip(&shown) {
                assert_eq!(*rgb, image.rgb);
                assert!((delay_ms * fps / 1000.0 - 1.0).abs() < 1e-3, "{delay_ms} ms at {fps} frames a second");
            }
            let reader = png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
            let control = reader.info().animation_control().unwrap();
            assert_eq!((control.num_frames, control.num_plays), (count as u32, 0));
            assert_eq!(request_of(&bytes, "x.apng").unwrap(), settings().into());
        }
        assert!(request_of(&apng(&frames(2, 0), 8.0, None).unwrap(), "x.apng").is_err());
    }

    #[test]
    fn what_is_no_animation_is_refused() {
        let good = frames(2, 0);
        let smaller = Image { width: SIDE / 2, height: SIDE, rgb: good[0].rgb[..SIDE * SIDE / 2 * 3].into() };
        let short = Image { rgb: vec![0; 5], ..good[0] };
        let empty = Image { width: 0, height: 0, rgb: Vec::new() };
        let (mixed, short) = (vec![good[0].clone(), smaller], vec![good[0].clone(), short]);
        for (frames, fps) in [
            (&vec![], 8.0),
            (&mixed, 8.0),
            (&short, 8.0),
            (&vec![empty], 8.0),
            (&good, 0.0),
            (&good, 100.5),
            (&good, f64::NAN),
        ] {
            for error in [gif(frames, fps).unwrap_err(), apng(frames, fps, None).unwrap_err()] {
                assert_eq!(error.kind(), ErrorKind::BadRequest, "{error}");
            }
        }
        let wide = Image { width: 70_000, height: 1, rgb: vec![0; 210_000] };
        assert!(gif(std::slice::from_ref(&wide), 8.0).is_err() && apng(&[wide], 8.0, None).is_ok());
    }
}
