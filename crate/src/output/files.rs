//! What an output is as a file: which formats fit its kind, and their bytes.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::progress::{Image, Output};
use crate::request::Kind;

use super::file::{folder_of, write_atomically};
use super::{Format, animation, encode, mesh, sheet, wav};

/// Frames a second of a turntable.
const TURNTABLE_FPS: f64 = 8.0;

/// The formats in which an output of this kind can be written, the most usual first.
pub fn formats(kind: Kind) -> &'static [Format] {
    match kind {
        Kind::Image => &[Format::Png, Format::WebP, Format::Jpeg],
        Kind::Video => &[Format::Gif, Format::Apng, Format::Png, Format::WebP, Format::Jpeg, Format::Folder],
        Kind::Views => {
            &[Format::Glb, Format::Png, Format::Gif, Format::Apng, Format::WebP, Format::Jpeg, Format::Folder]
        }
        Kind::Audio => &[Format::Wav, Format::Png],
    }
}

/// The format of `path` for an output of this kind. A video's `.png` moves; of views it is a contact sheet, of a sound its
/// spectrogram.
///
/// # Errors
/// `bad-request` that names the endings that fit.
pub fn format_for(kind: Kind, path: &Path) -> Result<Format> {
    let format = match (kind, Format::from_path(path)?) {
        (Kind::Video, Format::Png) => Format::Apng,
        (_, format) => format,
    };
    if formats(kind).contains(&format) {
        return Ok(format);
    }
    let fitting: Vec<&str> = formats(kind).iter().map(|format| format.ending()).collect();
    Err(Error::bad_request(path.display().to_string())
        .expected(format!("{} for {}", fitting.join(", "), of(kind)))
        .found(format.ending())
        .remedy("choose another name, or another --kind"))
}

fn of(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "an image",
        Kind::Video => "a video",
        Kind::Views => "views",
        Kind::Audio => "a sound",
    }
}

/// The bytes of a file of this format; of several frames a picture shows all, one beside the other. `has_request` tells
/// whether the request goes into files that can hold it.
///
/// # Errors
/// `bad-request` for a format that is not among [`formats`] or is no file, and those of the encoders: a mesh needs views
/// that show an object.
pub fn file(output: &Output, format: Format, has_request: bool) -> Result<Vec<u8>> {
    let Output { kind, frames, waveform, settings, .. } = output;
    let request = has_request.then_some(settings);
    let fps = settings.fps.unwrap_or(TURNTABLE_FPS);
    match (format, waveform) {
        (Format::Gif, None) => animation::gif(frames, fps),
        (Format::Apng, None) => animation::apng(frames, fps, request),
        (Format::Glb, None) if *kind == Kind::Views => mesh::glb(frames),
        (Format::Wav, Some(waveform)) => wav::wav(&waveform.samples, waveform.sample_rate),
        (Format::Png | Format::WebP | Format::Jpeg, _) => encode(&picture(frames), format, request),
        _ => Err(Error::bad_request(format.ending()).found(format!("an output of kind {}", kind.name()))),
    }
}

/// Writes an output to `path`: the whole file, or none. A folder gets a PNG file for each frame.
///
/// # Errors
/// Those of [`file`] and [`write_atomically`].
pub fn save(output: &Output, path: &Path, format: Format, has_request: bool) -> Result<()> {
    if format != Format::Folder {
        return write_atomically(path, &file(output, format, has_request)?);
    }
    let settings = has_request.then_some(&output.settings);
    let failure = |error: std::io::Error| Error::file(path.display(), &error);
    // Filled beside its place and moved there, so that nobody meets half a folder.
    let draft = Draft::create(folder_of(path)).map_err(failure)?;
    for (place, frame) in output.frames.iter().enumerate() {
        let bytes = encode(frame, Format::Png, settings)?;
        std::fs::write(draft.0.join(format!("{place:04}.png")), bytes).map_err(failure)?;
    }
    std::fs::rename(&draft.0, path).map_err(failure)
}

/// A folder on its way to its name; removed when dropped before it got it.
struct Draft(std::path::PathBuf);

impl Draft {
    fn create(parent: &Path) -> std::io::Result<Self> {
        let path = parent.join(format!(".frames.{}.part", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // Moved away, or nobody is left to tell.
    }
}

/// Finds out whether [`save`] could write a folder: it must be new, or empty.
///
/// # Errors
/// `file`, which names the path.
pub fn check_folder(path: &Path) -> Result<()> {
    let failure = |error: std::io::Error| Error::file(path.display(), &error);
    super::check_writable(&folder_of(path).join(".frames"))?;
    if !path.exists() {
        return Ok(());
    }
    let is_empty = path.is_dir() && std::fs::read_dir(path).map_err(failure)?.next().is_none();
    if is_empty {
        return Ok(());
    }
    Err(Error::new(ErrorKind::File, path.display().to_string())
        .expected("a new folder for the frames, or an empty one")
        .found(if path.is_dir() { "a folder with something in it" } else { "a file" }))
}

/// One picture of all frames.
pub fn picture(frames: &[Image]) -> Image {
    match frames {
        [frame] => frame.clone(),
        _ => sheet::sheet(frames),
    }
}
