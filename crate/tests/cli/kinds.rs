//! Videos, views and sounds as files that others read, and what is refused of them.

use image::AnimationDecoder as _;
use image::codecs::gif::GifDecoder;

use crate::harness::{Desk, USAGE};

#[test]
fn a_video_is_a_gif_or_an_apng_or_a_folder_of_the_same_frames() {
    let desk = Desk::new();
    let video = |output: &str| {
        let args = ["a red star moves right", "-o", output, "--frames", "3", "--size", "32x32", "--seed", "7"];
        desk.generate(&args).succeeded();
    };
    ["a.gif", "a.png"].into_iter().for_each(video);
    let args = ["a red star moves right", "-o", "frames", "--frames", "3", "--size", "32x32", "--seed", "7", "--json"];
    let events = desk.generate(&args).succeeded().events();
    let decoded = events.iter().filter(|event| event["type"] == "decode");
    let decoded: Vec<_> = decoded.map(|event| (event["done"].as_u64(), event["total"].as_u64())).collect();
    assert_eq!(decoded, [1, 2, 3].map(|done| (Some(done), Some(3))), "how far decoding is");
    let gif = GifDecoder::new(std::io::Cursor::new(desk.read("a.gif"))).expect("a GIF");
    let frames = gif.into_frames().collect_frames().expect("its frames");
    assert_eq!(frames.len(), 3);
    let delays: Vec<_> = frames.iter().map(|frame| frame.delay().numer_denom_ms()).collect();
    assert!(delays.iter().all(|&(ms, one)| (120..=130).contains(&(ms / one))), "8 a second: {delays:?}");
    let apng = image::load_from_memory(&desk.read("a.png")).expect("a PNG").into_rgb8();
    let first = image::load_from_memory(&desk.read("frames/0000.png")).expect("a PNG").into_rgb8();
    assert_eq!((apng.dimensions(), &apng), ((32, 32), &first));
    assert!(desk.path("frames/0002.png").exists() && !desk.path("frames/0003.png").exists());
    // The request is inside.
    desk.generate(&["--from", "a.png", "-o", "b.gif"]).succeeded();
    assert_eq!(desk.read("a.gif"), desk.read("b.gif"));
}

#[test]
fn views_are_a_mesh_or_a_contact_sheet() {
    let desk = Desk::new();
    let [glb, sheet] = ["a.glb", "a.png"].map(|output| {
        let args = ["a shiny blue cone", "-o", output, "--views", "6", "--seed", "3", "--steps", "10"];
        desk.generate(&args).succeeded();
        desk.read(output)
    });
    assert_eq!((&glb[..4], u32::from_le_bytes(glb[8..12].try_into().unwrap()) as usize), (&b"glTF"[..], glb.len()));
    let sheet = image::load_from_memory(&sheet).expect("a PNG").into_rgb8();
    assert!(sheet.width() > 3 * 64 && sheet.height() > 2 * 64, "{:?}", sheet.dimensions());
}

#[test]
fn a_sound_has_as_many_samples_as_asked_for() {
    let desk = Desk::new();
    desk.generate(&["a low bell, rising", "-o", "a.wav", "--seconds", "0.5"]).succeeded();
    let reader = hound::WavReader::new(std::io::Cursor::new(desk.read("a.wav"))).expect("a WAV");
    assert_eq!((reader.spec().sample_rate, reader.spec().channels, reader.len()), (16_000, 1, 8_000));
    desk.generate(&["a low bell, rising", "-o", "a.wav", "--seconds", "0.5", "--preview-every", "1"]).succeeded();
    assert_eq!(desk.names(), ["a.wav"], "the preview is gone");
}

#[test]
fn what_a_kind_cannot_be_is_refused_and_nothing_is_written() {
    let desk = Desk::new();
    for (args, parts) in [
        (&["a", "-o", "a.gif", "--frames", "0"][..], &["frames", "1 to 64", "found 0"][..]),
        (&["a", "-o", "a.gif", "--frames", "100000"], &["1 to 64", "it would take about", "MiB"]),
        (&["a", "-o", "a.gif", "--frames", "-1"], &["--frames", "-1"]),
        (&["a", "-o", "a.gif", "--fps", "0"], &["fps", "above 0, at most 100"]),
        (&["a", "-o", "a.gif", "--fps", "nan"], &["fps", "found NaN"]),
        (&["a", "-o", "a.glb", "--views", "0"], &["views", "1 to 24"]),
        (&["a", "-o", "a.glb", "--views", "25"], &["1 to 24", "found 25"]),
        (&["a", "-o", "a.glb", "--views", "2"], &["views", "3"]),
        (&["a", "-o", "a.wav", "--seconds", "0"], &["seconds", "at most 16.384"]),
        (&["a", "-o", "a.wav", "--seconds", "1e9"], &["seconds", "it would take about"]),
        (
            &["a", "-o", "a.gif", "--transition", "0-4:b", "--transition", "3-6:c"],
            &["transition 3-6", "do not overlap"],
        ),
        (&["a", "-o", "a.gif", "--transition", "4-9:b"], &["transition 4-9", "frames from 0 to 7"]),
        (&["a", "-o", "a.gif", "--transition", "4:b"], &["--transition", "FIRST-LAST:TEXT"]),
        (&["a", "-o", "a.gif", "--kind", "audio"], &["a.gif", ".wav"]),
        (&["a", "-o", "a.gif", "--kind", "speech"], &["--kind", "speech"]),
    ] {
        let line = desk.generate_refusal(USAGE, args);
        assert!(parts.iter().all(|part| line.contains(part)), "{args:?}: {line}");
        assert!(desk.names().is_empty(), "{args:?} left {:?}", desk.names());
    }
}
