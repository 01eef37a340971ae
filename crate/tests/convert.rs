//! A checkpoint as it is downloaded, converted and run: `LuminaPipeline`'s own pictures from its own noise
//! (fixtures/diffusers_lumina_next). Its run c switches proportional attention off, which no request can.

#[path = "support/golden.rs"]
mod golden;

use flagdit::{
    Device, Pipeline, Request,
    convert::{Options, convert},
    progress::{Event, Image},
    weights::{self, recipe::Quant},
};
use futures_util::{StreamExt, pin_mut};
use golden::json;
use serde_json::{Value, json as value};

/// Levels of 255 by which a pixel may be off: on the CPU a rounding, on a GPU one more.
const CPU: i32 = 1;
const GPU: i32 = 2;

const CASE: &str = "diffusers_lumina_next";

#[test]
fn lumina_pipelines_pictures_come_out_on_the_cpu() {
    check(CPU, Device::cpu);
}

#[test]
fn lumina_pipelines_pictures_come_out_on_the_gpu() {
    check(GPU, || pollster::block_on(Device::gpu(None)).expect("lavapipe is installed by `cargo xtask test`"));
}

fn check(most: i32, device: impl Fn() -> Device) {
    let source = golden::path(CASE).join("pipeline");
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let options = Options { quant: Quant::F32, recipe: None, config: None, text_encoder: None, vae: None, part: None };
    let stored = golden::tensors(&format!("{CASE}/io.safetensors"));
    for run in ["a", "b"] {
        let call = &json(&format!("{CASE}/config.json"))["runs"][run];
        let target = folder.path().join(run);
        let mut told = Vec::new();
        let mut progress = |state| {
            told.push(state);
            Ok(())
        };
        convert(&source, &target, &options, &mut progress).expect("a whole pipeline");
        assert!(told.last().is_some_and(|last| last.read == last.total && last.total > 0), "{told:?}");
        if let Some(watershed) = call["scaling_watershed"].as_f64() {
            set_watershed(&target.join("manifest.json"), watershed);
        }
        let noise = stored[&format!("{run}_latents_0")].values.clone();
        let picture = generate(Pipeline::open(weights::folder(&target), device()), request(call), noise);
        let expected = &stored[&format!("{run}_image_u8")];
        assert_eq!(expected.shape, [1, picture.height, picture.width, 3], "run {run}");
        let off =
            picture.rgb.iter().zip(&expected.values).map(|(&found, &level)| (i32::from(found) - level as i32).abs());
        let worst = off.max().expect("pixels");
        println!("run {run}: at most {worst} of 255 off");
        assert!(worst <= most, "run {run}: {worst} of 255 off");
        // A picture of one colour would be easy to meet.
        let levels: std::collections::BTreeSet<_> = picture.rgb.iter().collect();
        assert!(levels.len() > 50, "run {run}: {} levels", levels.len());
    }
}

fn request(call: &Value) -> Request {
    let number = |name: &str| call[name].as_u64().expect("a number") as usize;
    let texts = |name: &str| call[name][0].as_str().unwrap_or_default().to_owned();
    let request = Request::image(texts("prompt"), number("width"), number("height"));
    let guidance = call["guidance_scale"].as_f64().expect("a scale");
    Request { negative_prompt: texts("negative_prompt"), guidance: Some(guidance), ..request }
        .steps(number("num_inference_steps"))
}

/// What `LuminaPipeline` takes as an argument is the model's here.
fn set_watershed(manifest: &std::path::Path, watershed: f64) {
    let mut text: Value = serde_json::from_slice(&std::fs::read(manifest).expect("a manifest")).expect("JSON");
    text["sizes"]["image"]["extrapolation"]["rope"] = value!({ "time-aware": { "watershed": watershed } });
    std::fs::write(manifest, text.to_string()).expect("a manifest that can be written");
}

fn generate(
    pipeline: impl Future<Output = flagdit::error::Result<Pipeline>>,
    request: Request,
    noise: Vec<f32>,
) -> Image {
    pollster::block_on(async {
        let pipeline = pipeline.await.expect("the converted model opens");
        let short = pipeline.generate_from(request.clone(), Some(noise[1..].to_vec()));
        pin_mut!(short);
        let mut last = None;
        while let Some(event) = short.next().await {
            last = Some(event);
        }
        let refusal = last.expect("an event").expect_err("noise of another size").to_string();
        assert!(refusal.starts_with("noise: expected "), "{refusal}");

        let events = pipeline.generate_from(request, Some(noise));
        pin_mut!(events);
        while let Some(event) = events.next().await {
            if let Event::Done(output) = event.expect("every event is good") {
                return output.frames.into_iter().next().expect("a picture");
            }
        }
        panic!("no picture came")
    })
}
