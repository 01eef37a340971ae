//! Videos, views and sound of the shipped model, through the library: right in number, the same on every device, as long as
//! they are asked to be, and closed where they shall be.

use flagdit::{
    Device, Pipeline, Request,
    error::ErrorKind,
    output::mesh,
    progress::{Event, Image, Output, Settings},
    request::{Kind, Transition},
};

use futures_util::StreamExt as _;

#[path = "support/shipped.rs"]
mod shipped;

use shipped::{SAME_PICTURE, output, psnr, toybox};

/// Sound on two devices: the same samples but for the last of 8 bits, in dB below full scale. Griffin-Lim's phases settle
/// by small differences, so it is more than a picture's.
const SAME_SOUND: f64 = 30.0;

fn small_video(prompt: &str, frames: usize) -> Request {
    Request { width: Some(32), height: Some(32), ..Request::video(prompt, frames) }.steps(3).seed(5)
}

fn small_views(prompt: &str, views: usize) -> Request {
    Request { width: Some(32), height: Some(32), ..Request::views(prompt, views) }.steps(3).seed(5)
}

fn noise_below(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let signal = square(&mut a.iter().map(|&a| f64::from(a)));
    let error = square(&mut a.iter().zip(b).map(|(&a, &b)| f64::from(a - b)));
    10.0 * (signal / error.max(1e-12)).log10()
}

#[test]
fn cpu_and_gpu_make_the_same_of_every_kind() {
    let gpu = pollster::block_on(Device::gpu(None)).expect("lavapipe is installed by `cargo xtask test`");
    let (on_cpu, on_gpu) = (toybox(Device::cpu()), toybox(gpu));
    for request in [small_video("a red star moves right", 3), small_views("a blue cube", 3)] {
        let [cpu, gpu] = [&on_cpu, &on_gpu].map(|pipeline| output(pipeline, request.clone()).frames);
        assert_eq!((cpu.len(), gpu.len()), (3, 3));
        for (cpu, gpu) in cpu.iter().zip(&gpu) {
            let found = psnr(cpu, gpu);
            assert!(found >= SAME_PICTURE, "{:?}: {found:.1} dB", request.kind);
        }
    }
    let request = Request::audio("a low bell", 0.25).steps(3).seed(5);
    let [cpu, gpu] = [&on_cpu, &on_gpu].map(|pipeline| output(pipeline, request.clone()));
    let samples = |output: Output| output.waveform.expect("a sound").samples;
    assert!(psnr(&cpu.frames[0], &gpu.frames[0]) >= 40.0, "spectrograms");
    let found = noise_below(&samples(cpu), &samples(gpu));
    assert!(found >= SAME_SOUND, "sound: {found:.1} dB");
}

#[test]
fn sounds_are_as_long_as_asked_for_and_begin_alike_in_noise() {
    let pipeline = toybox(Device::cpu());
    for (seconds, samples) in [(0.1, 1_600), (1.0, 16_000), (2.5, 40_000)] {
        let output = output(&pipeline, Request::audio("a high sine", seconds).steps(2));
        let waveform = output.waveform.expect("a sound");
        assert_eq!((waveform.samples.len(), waveform.sample_rate), (samples, 16_000));
        assert!(waveform.samples.iter().all(|sample| sample.abs() <= 1.0));
        assert!(waveform.samples.iter().any(|sample| sample.abs() > 1e-3), "it is silent");
        assert_eq!(output.frames.len(), 1, "the spectrogram");
    }
}

/// Parts that were decoded, as they were told.
fn decoded(pipeline: &Pipeline, request: Request) -> Vec<(usize, usize)> {
    let told = pipeline.generate(request).filter_map(async |event| match event.expect("every event is good") {
        Event::Decode { done, total } => Some((done, total)),
        _ => None,
    });
    pollster::block_on(told.collect())
}

#[test]
fn decoding_tells_of_every_frame_and_of_every_improvement_of_a_sound() {
    let pipeline = toybox(Device::cpu());
    for request in [small_video("a red star spins", 5), small_views("a blue cube", 5)] {
        assert_eq!(decoded(&pipeline, request), [1, 2, 3, 4, 5].map(|done| (done, 5)));
    }
    let told = decoded(&pipeline, Request::audio("a low bell", 0.25).steps(2));
    let total = told.len();
    assert!(total > 5 && told.iter().enumerate().all(|(place, told)| *told == (place + 1, total)), "{told:?}");
    assert_eq!(decoded(&pipeline, Request::image("a red star", 64, 64).steps(2)), [], "one part");
}

#[test]
fn a_video_may_be_longer_than_any_it_was_trained_on() {
    let pipeline = toybox(Device::cpu());
    let frames = output(&pipeline, small_video("a red star spins", 24)).frames;
    assert_eq!(frames.len(), 24);
    assert!(frames.windows(2).any(|pair| pair[0] != pair[1]), "nothing moves");
}

/// The mean of the channels over a picture.
fn mean(image: &Image) -> [f64; 3] {
    let pixels = (image.rgb.len() / 3) as f64;
    std::array::from_fn(|c| image.rgb.iter().skip(c).step_by(3).map(|&level| f64::from(level)).sum::<f64>() / pixels)
}

#[test]
fn a_transition_leads_from_one_prompt_to_the_next() {
    let pipeline = toybox(Device::cpu());
    let (red, blue) = ("a yellow star spins on red", "a yellow star spins on blue");
    let transitions = vec![Transition { from: 2, to: 5, prompt: blue.to_owned() }];
    let request = Request { transitions, ..small_video(red, 8) }.steps(8);
    let frames = output(&pipeline, request).frames;
    let (first, last) = (mean(&frames[0]), mean(&frames[7]));
    assert!(first[0] > last[0] + 30.0 && last[2] > first[2] + 30.0, "{first:?} {last:?}");
}

#[test]
fn a_loop_leads_back_to_its_beginning() {
    let pipeline = toybox(Device::cpu());
    // The step over the seam, as many times as large as the mean step.
    let seam = |is_loop| {
        let request = Request { is_loop, ..small_video("a red star moves right on white", 8) }.steps(10);
        let frames = output(&pipeline, request).frames;
        let distance =
            |a: &Image, b: &Image| a.rgb.iter().zip(&b.rgb).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>();
        let steps: f64 = frames.windows(2).map(|pair| distance(&pair[0], &pair[1])).sum();
        distance(&frames[7], &frames[0]) / (steps / 7.0)
    };
    let (open, closed) = (seam(false), seam(true));
    println!("the seam is {open:.2} steps wide, closed {closed:.2}");
    assert!(closed < open && closed < 2.0, "{open} {closed}");
}

#[test]
fn views_become_an_object() {
    let pipeline = toybox(Device::cpu());
    let request = Request { width: None, height: None, ..small_views("a shiny blue cone", 8) }.steps(10);
    let mesh = mesh::mesh(&output(&pipeline, request).frames).expect("an object");
    assert!(mesh.triangles.len() > 500, "{} triangles", mesh.triangles.len());
}

fn refusal(pipeline: &Pipeline, request: Request) -> String {
    let error = pipeline.settings(&request).expect_err("a request that is refused");
    assert_eq!(error.kind(), ErrorKind::BadRequest, "{error}");
    error.to_string()
}

#[test]
fn too_much_and_nothing_are_refused_with_the_limits() {
    let pipeline = toybox(Device::cpu());
    for (request, field) in [
        (Request::video("a", 0), "frames: expected 1 to "),
        (Request::views("a", 0), "views: expected 1 to "),
        (Request::audio("a", 0.0), "seconds: expected above 0, at most "),
        (Request::audio("a", f64::NAN), "seconds: expected above 0, at most "),
    ] {
        assert!(refusal(&pipeline, request.clone()).starts_with(field), "{}", refusal(&pipeline, request));
    }
    for request in [Request::video("a", 100_000), Request::views("a", usize::MAX), Request::audio("a", 1e9)] {
        let refusal = refusal(&pipeline, request);
        assert!(refusal.contains("it would take about ") && refusal.contains(" MiB"), "{refusal}");
    }
    let late =
        Request { transitions: vec![Transition { from: 6, to: 8, prompt: "b".to_owned() }], ..Request::video("a", 8) };
    assert!(refusal(&pipeline, late).contains("frames from 0 to 7"));
}

#[test]
fn defaults_come_from_the_manifest() {
    let pipeline = toybox(Device::cpu());
    let of = |kind| pipeline.settings(&Request::new(kind, "a")).expect("a request that can be met");
    let Settings { frames, fps, width, height, .. } = of(Kind::Video);
    assert_eq!((frames, fps, width, height), (Some(8), Some(8.0), 64, 64));
    assert_eq!(of(Kind::Views).views, Some(8));
    let Settings { seconds, width, height, .. } = of(Kind::Audio);
    assert_eq!((seconds, width, height), (Some(2.048), 0, 0));
}
