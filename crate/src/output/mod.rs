//! Pictures and sounds → files, chosen by the file's ending, with the request inside of PNG files.
//!
//! The same picture gives the same bytes: no times, no names of machines. [`save`] never leaves half a file, and
//! [`read_request`] gets the request back, from pictures of stable-diffusion-webui too.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::error::{Error, ErrorKind, Result};
use crate::progress::{Image, Settings};
use crate::request::Kind;

pub mod animation;
mod file;
pub mod files;
pub mod mesh;
mod metadata;
mod parameters;
pub mod sheet;
pub mod spectrogram;
pub mod wav;

pub use file::{check_writable, write_atomically};
pub use metadata::{Recorded, read_request, request_of};

/// JPEG's quality, of 100: artefacts are hard to see from here on.
const JPEG_QUALITY: u8 = 95;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Lossless, and the only one that carries the request.
    Png,
    /// Lossless.
    WebP,
    /// Lossy.
    Jpeg,
    /// Frames that move, in 256 colours.
    Gif,
    /// Frames that move, lossless, with the request.
    Apng,
    /// A coloured mesh.
    Glb,
    /// A waveform.
    Wav,
    /// A PNG file for each frame.
    Folder,
}

impl Format {
    /// Those that are files.
    const FILES: [Self; 7] = [Self::Png, Self::WebP, Self::Jpeg, Self::Gif, Self::Apng, Self::Glb, Self::Wav];

    /// The format that the ending of `path` names; a name without one is a folder's.
    ///
    /// # Errors
    /// `bad-request` for another ending.
    pub fn from_path(path: &Path) -> Result<Self> {
        let Some(ending) = path.extension() else { return Ok(Self::Folder) };
        let ending = format!(".{}", ending.to_string_lossy().to_lowercase());
        let is_named = |format: &Self| format.ending() == ending || (*format == Self::Jpeg && ending == ".jpeg");
        Self::FILES.into_iter().find(is_named).ok_or_else(|| {
            Error::bad_request(path.display().to_string())
                .expected("a name that ends in .png, .webp or .jpg (.gif, .apng, .glb, .wav), or a folder")
                .found(ending)
        })
    }

    /// What the name of such a file ends in.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Png => ".png",
            Self::WebP => ".webp",
            Self::Jpeg => ".jpg",
            Self::Gif => ".gif",
            Self::Apng => ".apng",
            Self::Glb => ".glb",
            Self::Wav => ".wav",
            Self::Folder => "a folder",
        }
    }

    /// The kind of output that a file of this format is, where nothing else is said; a folder's could be several.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Png | Self::WebP | Self::Jpeg => Some(Kind::Image),
            Self::Gif | Self::Apng => Some(Kind::Video),
            Self::Glb => Some(Kind::Views),
            Self::Wav => Some(Kind::Audio),
            Self::Folder => None,
        }
    }

    /// The name of the format as a media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Apng => "image/apng",
            Self::Glb => "model/gltf-binary",
            Self::Wav => "audio/wav",
            Self::Folder => "inode/directory",
        }
    }
}

/// The bytes of a file that shows `image`; `settings` go into PNG files.
///
/// # Errors
/// `bad-request` if the picture is larger than the format allows (WebP: 16 384, JPEG: 65 535 pixels a side), and for a
/// format that is none for pictures.
pub fn encode(image: &Image, format: Format, settings: Option<&Settings>) -> Result<Vec<u8>> {
    let refuse = |reason: String| {
        Error::bad_request(format!("a picture of {}x{} as {}", image.width, image.height, format.media_type()))
            .found(reason)
    };
    let side = |side: usize| u32::try_from(side).map_err(|error| refuse(error.to_string()));
    let (width, height) = (side(image.width)?, side(image.height)?);
    let expected = image.width.checked_mul(image.height).and_then(|pixels| pixels.checked_mul(3));
    if expected != Some(image.rgb.len()) || image.rgb.is_empty() {
        return Err(refuse(format!("{} bytes of pixels", image.rgb.len())));
    }
    let mut bytes = Vec::new();
    let done = match format {
        Format::Png => return metadata::encode_png(image, width, height, settings).map_err(|e| refuse(e.to_string())),
        Format::WebP => {
            WebPEncoder::new_lossless(&mut bytes).write_image(&image.rgb, width, height, ExtendedColorType::Rgb8)
        }
        Format::Jpeg => JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).write_image(
            &image.rgb,
            width,
            height,
            ExtendedColorType::Rgb8,
        ),
        Format::Gif | Format::Apng | Format::Glb | Format::Wav | Format::Folder => {
            return Err(refuse("a format for something else than one picture".to_owned()));
        }
    };
    done.map_err(|error| refuse(error.to_string()))?;
    Ok(bytes)
}

/// Writes `image` to `path` in the format that its ending names: the whole file, or none.
///
/// # Errors
/// Those of [`Format::from_path`], [`encode`] and [`write_atomically`].
pub fn save(image: &Image, path: &Path, settings: Option<&Settings>) -> Result<()> {
    write_atomically(path, &encode(image, Format::from_path(path)?, settings)?)
}

/// The longest picture file that is read.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The bytes of a picture file, if it is one that may be read.
fn read_picture(path: &Path) -> Result<Vec<u8>> {
    let failure = |error: std::io::Error| Error::file(path.display(), &error);
    let metadata = std::fs::metadata(path).map_err(failure)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(Error::new(ErrorKind::File, path.display().to_string())
            .expected(format!("a picture file of at most {} MiB", MAX_FILE_BYTES >> 20))
            .found(if metadata.is_file() { format!("{} bytes", metadata.len()) } else { "no file".into() }));
    }
    std::fs::read(path).map_err(failure)
}

#[cfg(test)]
mod tests;
