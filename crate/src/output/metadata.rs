//! The request inside of a PNG file: `parameters` as stable-diffusion-webui writes it, for every tool that shows it, and
//! `flagdit`, the settings as JSON, for reading them back exactly.

use std::io::Cursor;
use std::path::Path;

use png::text_metadata::{ITXtChunk, TEXtChunk, ZTXtChunk};
use png::{BitDepth, ColorType, Compression, DecodeOptions, Decoder, Encoder, EncodingError, Info, Limits};

use super::parameters;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::{Image, Settings};
use crate::request::{Kind, Request};

/// The text chunk that holds [`Settings`] as JSON.
const OURS: &str = "flagdit";
/// The text chunk that other tools read and write.
const WEBUI: &str = "parameters";
/// The longest text that is read.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// What decoding a PNG file's header and texts may allocate.
const MAX_DECODED_BYTES: usize = 16 << 20;

/// What a picture says about how it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The request. Of another program's picture it holds what this one understands.
    pub request: Request,
    /// The model's name.
    pub model: Option<String>,
    /// SHA-256 of the model's manifest; another program's picture has the beginning of a hash of its own.
    pub model_hash: Option<String>,
}

impl From<Settings> for Recorded {
    fn from(settings: Settings) -> Self {
        let pixels = |side: usize| (settings.kind != Kind::Audio).then_some(side);
        let request = Request {
            kind: settings.kind,
            prompt: settings.prompt,
            class: settings.class,
            negative_prompt: settings.negative_prompt,
            width: pixels(settings.width),
            height: pixels(settings.height),
            frames: settings.frames,
            fps: settings.fps,
            is_loop: settings.is_loop,
            transitions: settings.transitions,
            views: settings.views,
            seconds: settings.seconds,
            steps: Some(settings.steps),
            guidance: Some(settings.guidance),
            solver: Some(settings.solver),
            time_shift: Some(settings.time_shift),
            seed: settings.seed,
            preview_every: 0,
        };
        Self { request, model: Some(settings.model), model_hash: Some(settings.model_hash) }
    }
}

/// The request that the picture file `path` carries.
///
/// # Errors
/// `file` if it cannot be read, is damaged, is no PNG file, or carries none.
pub fn read_request(path: &Path) -> Result<Recorded> {
    request_of(&super::read_picture(path)?, &path.display().to_string())
}

/// The request that a picture carries; `name` stands for it in messages.
///
/// # Errors
/// As [`read_request`].
pub fn request_of(picture: &[u8], name: &str) -> Result<Recorded> {
    let damaged = |reason: String| Error::new(ErrorKind::File, name).expected("a whole PNG file").found(reason);
    let mut options = DecodeOptions::default();
    options.set_skip_ancillary_crc_failures(false);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(picture), options);
    decoder.set_limits(Limits { bytes: MAX_DECODED_BYTES });
    let reader = decoder.read_info().map_err(|error| damaged(error.to_string()))?;
    let info = reader.info();
    if let Some(json) = text(info, OURS).map_err(damaged)? {
        let settings: Settings = serde_json::from_str(&json)
            .map_err(|error| damaged(format!("a {OURS} text that is not its settings ({error})")))?;
        return Ok(settings.into());
    }
    if let Some(recorded) = text(info, WEBUI).map_err(damaged)?.and_then(|text| parameters::parse(&text)) {
        return Ok(recorded);
    }
    Err(Error::new(ErrorKind::File, name)
        .expected("a picture that carries its request")
        .found("none in it")
        .remedy("PNG files of flagdit and stable-diffusion-webui have one, unless it was taken out"))
}

/// The text chunk `keyword`, in whichever of its three forms.
fn text(info: &Info<'_>, keyword: &str) -> Result<Option<String>, String> {
    let plain = |chunk: &TEXtChunk| chunk.text.clone();
    if let Some(text) = info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == keyword).map(plain) {
        return if text.len() > MAX_TEXT_BYTES {
            Err(format!("a {keyword} text of {} bytes", text.len()))
        } else {
            Ok(Some(text))
        };
    }
    let failure = |error: png::DecodingError| format!("a {keyword} text that cannot be read ({error})");
    if let Some(chunk) = info.utf8_text.iter().find(|chunk| chunk.keyword == keyword) {
        let mut chunk: ITXtChunk = chunk.clone();
        chunk.decompress_text_with_limit(MAX_TEXT_BYTES).map_err(failure)?;
        return chunk.get_text().map(Some).map_err(failure);
    }
    if let Some(chunk) = info.compressed_latin1_text.iter().find(|chunk| chunk.keyword == keyword) {
        let mut chunk: ZTXtChunk = chunk.clone();
        chunk.decompress_text_with_limit(MAX_TEXT_BYTES).map_err(failure)?;
        return chunk.get_text().map(Some).map_err(failure);
    }
    Ok(None)
}

/// A PNG file that shows `image`.
pub(super) fn encode_png(
    image: &Image,
    width: u32,
    height: u32,
    settings: Option<&Settings>,
) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    if let Some(settings) = settings {
        add_request(&mut encoder, settings)?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&image.rgb)?;
    writer.finish()?;
    Ok(bytes)
}

/// Both texts that tell how a picture was made.
pub(super) fn add_request(encoder: &mut Encoder<'_, &mut Vec<u8>>, settings: &Settings) -> Result<(), EncodingError> {
    add_text(encoder, WEBUI, parameters::text(settings))?;
    let json = serde_json::to_string(settings).map_err(|error| EncodingError::IoError(error.into()))?;
    add_text(encoder, OURS, json)
}

/// Latin-1 where that suffices, as every reader understands it; else UTF-8.
fn add_text(encoder: &mut Encoder<'_, &mut Vec<u8>>, keyword: &str, text: String) -> Result<(), EncodingError> {
    let text = text.replace('\0', " "); // A chunk's text cannot hold it.
    if text.chars().all(|letter| u32::from(letter) < 256) {
        encoder.add_text_chunk(keyword.into(), text)
    } else {
        encoder.add_itxt_chunk(keyword.into(), text)
    }
}
