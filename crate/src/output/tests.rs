//! Pictures there and back, and pictures that mean harm.

use std::fs;
use std::path::Path;

use super::*;
use crate::progress::{Output, Timings, Waveform};
use crate::request::Request;

fn picture() -> Image {
    let rgb = (0..8 * 4 * 3).map(|index| (index * 7 % 251) as u8).collect();
    Image { width: 8, height: 4, rgb }
}

fn settings(prompt: &str) -> Settings {
    Settings {
        kind: Kind::Image,
        prompt: prompt.into(),
        negative_prompt: "blue, \"dull\": grey".into(),
        width: 8,
        height: 4,
        steps: 20,
        guidance: f64::from(4.1_f32),
        solver: "midpoint".into(),
        time_shift: 4.0,
        seed: (1 << 53) - 1,
        model: "toy, box".into(),
        model_hash: "0123456789abcdef".into(),
        ..Settings::default()
    }
}

fn png(prompt: &str) -> Vec<u8> {
    encode(&picture(), Format::Png, Some(&settings(prompt))).unwrap()
}

/// A text chunk of a PNG file, added by hand.
fn with_chunk(keyword: &str, text: &str) -> Vec<u8> {
    let image = picture();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 4);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_ztxt_chunk(keyword.into(), text.into()).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&image.rgb).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn formats_go_by_the_ending_and_the_kind() {
    for (name, format) in [
        ("a/b.PNG", Format::Png),
        ("b.jpeg", Format::Jpeg),
        ("star.gif", Format::Gif),
        ("star.apng", Format::Apng),
        ("star.glb", Format::Glb),
        ("star.wav", Format::Wav),
        ("star", Format::Folder),
    ] {
        assert_eq!(Format::from_path(Path::new(name)), Ok(format), "{name}");
    }
    let error = Format::from_path(Path::new("star.tiff")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest);
    assert!(error.to_string().ends_with("found .tiff"), "{error}");
    let of = |kind, name: &str| files::format_for(kind, Path::new(name));
    assert_eq!(of(Kind::Video, "a.png"), Ok(Format::Apng));
    assert_eq!(of(Kind::Views, "a.png"), Ok(Format::Png));
    for (kind, name) in [(Kind::Image, "a.gif"), (Kind::Video, "a.glb"), (Kind::Audio, "a.gif"), (Kind::Image, "a")] {
        let error = of(kind, name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadRequest);
        assert!(error.to_string().contains(files::formats(kind)[0].ending()), "{error}");
    }
}

fn video() -> Output {
    let settings = Settings { kind: Kind::Video, frames: Some(2), fps: Some(4.0), ..settings("a star moves") };
    let frames = vec![picture(), Image { rgb: picture().rgb.into_iter().rev().collect(), ..picture() }];
    Output { kind: Kind::Video, frames, waveform: None, settings, timings: Timings::default() }
}

#[test]
fn every_format_of_a_kind_can_be_written_and_no_other() {
    let video = video();
    for &format in files::formats(Kind::Video).iter().filter(|format| **format != Format::Folder) {
        assert!(!files::file(&video, format, true).unwrap().is_empty(), "{format:?}");
    }
    let waveform = Some(Waveform { samples: vec![0.5; 16], sample_rate: 16_000 });
    let sound = Output { kind: Kind::Audio, waveform, ..video.clone() };
    assert!(files::file(&sound, Format::Wav, true).unwrap().starts_with(b"RIFF"));
    for (output, format) in [(&video, Format::Wav), (&video, Format::Glb), (&sound, Format::Gif)] {
        assert_eq!(files::file(output, format, true).unwrap_err().kind(), ErrorKind::BadRequest, "{format:?}");
    }
}

#[test]
fn a_folder_gets_every_frame_with_its_request_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, video) = (folder.path().join("frames"), video());
    files::check_folder(&path).unwrap();
    files::save(&video, &path, Format::Folder, true).unwrap();
    for (name, frame) in ["0000.png", "0001.png"].iter().zip(&video.frames) {
        let bytes = fs::read(path.join(name)).unwrap();
        assert_eq!(image::load_from_memory(&bytes).unwrap().into_rgb8().into_raw(), frame.rgb);
        assert_eq!(request_of(&bytes, name).unwrap().request.frames, Some(2));
    }
    let refusal = files::check_folder(&path).unwrap_err().to_string();
    assert!(refusal.contains("a folder with something in it"), "{refusal}");
    let broken = Output { frames: vec![picture(), Image { rgb: Vec::new(), ..picture() }], ..video };
    assert!(files::save(&broken, &folder.path().join("broken"), Format::Folder, true).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written stays");
}

#[test]
fn lossless_formats_keep_every_pixel_and_bytes_repeat() {
    for format in [Format::Png, Format::WebP, Format::Jpeg] {
        let bytes = encode(&picture(), format, Some(&settings("x"))).unwrap();
        assert_eq!(bytes, encode(&picture(), format, Some(&settings("x"))).unwrap());
        let decoded = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_eq!(decoded.dimensions(), (8, 4));
        if format != Format::Jpeg {
            assert_eq!(decoded.into_raw(), picture().rgb);
        }
    }
    let short = Image { rgb: vec![0; 5], ..picture() };
    assert_eq!(encode(&short, Format::Png, None).unwrap_err().kind(), ErrorKind::BadRequest);
    assert!(encode(&Image { width: 20_000, height: 1, rgb: vec![0; 60_000] }, Format::WebP, None).is_err());
}

#[test]
fn the_request_comes_back_exactly() {
    for prompt in ["a red star", "zwei größere Sterne\nSteps: 1, Seed: 2, Size: 3x3", "ein 星 \u{1f31f}", "nul \0"] {
        let recorded = request_of(&png(prompt), "x").unwrap();
        assert_eq!(recorded, settings(prompt).into(), "{prompt}");
    }
    let bare = encode(&picture(), Format::Png, None).unwrap();
    assert!(request_of(&bare, "x.png").unwrap_err().to_string().contains("x.png: expected a picture that carries"));
}

#[test]
fn webui_descriptions_are_written_and_read() {
    let made = settings("a red star");
    let text = parameters::text(&made);
    assert!(
        text.starts_with(
            "a red star\nNegative prompt: blue, \"dull\": grey\nSteps: 20, Sampler: midpoint, CFG scale: 4."
        )
    );
    assert!(
        text.contains("Seed: 9007199254740991, Size: 8x4, Time shift: 4, Model: \"toy, box\", Model hash: 0123456789,")
    );
    let recorded = parameters::parse(&text).unwrap();
    assert_eq!(recorded.request, Recorded::from(made).request);
    assert_eq!((recorded.model.as_deref(), recorded.model_hash.as_deref()), (Some("toy, box"), Some("0123456789")));

    let foreign = "a cat,\non a mat\nNegative prompt: dog\nbird\nSteps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7.5, \
                   Seed: 1234, Size: 512x768, Model hash: 6ce0161689, Lora hashes: \"a: 1, b: 2\", Version: v1.9.4";
    let recorded = request_of(&with_chunk("parameters", foreign), "x").unwrap();
    let Request { prompt, negative_prompt, width, height, steps, guidance, solver, seed, .. } = recorded.request;
    assert_eq!((prompt.as_str(), negative_prompt.as_str()), ("a cat,\non a mat", "dog\nbird"));
    assert_eq!((width, height, steps, guidance, solver, seed), (Some(512), Some(768), Some(30), Some(7.5), None, 1234));

    for text in ["", "just a text", "two: 1, entries: 2", "a\nb: \"\n"] {
        assert!(parameters::parse(text).is_none(), "{text}");
    }
}

#[test]
fn a_class_is_written_and_read() {
    let made = Settings { prompt: String::new(), negative_prompt: String::new(), class: Some(207), ..settings("") };
    let text = parameters::text(&made);
    assert!(text.starts_with("\nSteps: 20") && text.contains("Size: 8x4, Class: 207, Time shift"), "{text}");
    assert_eq!(parameters::parse(&text).map(|recorded| recorded.request), Some(Recorded::from(made.clone()).request));
    let picture = encode(&picture(), Format::Png, Some(&made)).unwrap();
    assert_eq!(request_of(&picture, "x").map(|recorded| recorded.request.class), Ok(Some(207)));
}

#[test]
fn damaged_pictures_are_refused_or_read_as_they_were() {
    let whole = png("ein 星");
    let expected = request_of(&whole, "x").unwrap();
    for length in 0..whole.len() {
        let _ = request_of(&whole[..length], "x").map(|found| assert_eq!(found, expected, "{length}"));
    }
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << bit;
            let _ = request_of(&damaged, "x").map(|found| assert_eq!(found, expected, "byte {place}, bit {bit}"));
        }
    }
}

#[test]
fn pictures_that_claim_too_much_are_refused() {
    let mut huge = png("x");
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]); // width and height
    assert!(request_of(&huge, "x").is_err());
    let bomb = with_chunk("flagdit", &" ".repeat(4 << 20));
    assert!(bomb.len() < 1 << 16);
    assert!(request_of(&bomb, "x").unwrap_err().to_string().contains("flagdit text that cannot be read"));
    let nested = with_chunk("flagdit", &"[".repeat(500_000));
    assert!(request_of(&nested, "x").unwrap_err().to_string().contains("not its settings"));
    for noise in [&b""[..], b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"] {
        assert_eq!(request_of(noise, "x").unwrap_err().kind(), ErrorKind::File);
    }
}

#[test]
fn a_file_is_whole_or_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("star.png");
    check_writable(&path).unwrap();
    assert!(!path.exists());
    save(&picture(), &path, Some(&settings("x"))).unwrap();
    save(&picture(), &path, Some(&settings("y"))).unwrap();
    assert_eq!(read_request(&path).unwrap(), settings("y").into());

    let missing = folder.path().join("nowhere/star.png");
    for error in [check_writable(&missing).unwrap_err(), save(&picture(), &missing, None).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::File);
        assert!(error.to_string().contains("nowhere/star.png") && error.to_string().contains("folder does not exist"));
    }
    let below_a_file = path.join("star.png");
    assert_eq!(check_writable(&below_a_file).unwrap_err().kind(), ErrorKind::File);
    let taken = folder.path().join("taken.png");
    fs::create_dir(&taken).unwrap();
    assert!(check_writable(&taken).is_err() && save(&picture(), &taken, None).is_err());
    assert!(read_request(&taken).is_err());
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["star.png", "taken.png"]);
}

#[cfg(unix)]
#[test]
fn a_link_keeps_leading_to_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file.png"), folder.path().join("link.png"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write_atomically(&link, b"new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&file).unwrap(), b"new");
}
