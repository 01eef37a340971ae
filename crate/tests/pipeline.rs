//! The shipped model through the library: the same picture on every device, and an end within one step.

use flagdit::kernels::{attention, conv2d, linear, norm_modulate, qk_norm_rope};
use flagdit::{
    Device, Pipeline, Request,
    progress::{Event, Image, LoadProgress, LoadStage},
    weights,
};
use futures_util::{StreamExt, pin_mut};

#[path = "support/shipped.rs"]
mod shipped;

use shipped::{SAME_PICTURE, output, psnr, toybox};

fn picture(pipeline: &Pipeline, request: Request) -> Image {
    output(pipeline, request).frames.into_iter().next().expect("one picture")
}

const STEPS: usize = 4;
/// Evaluations a step of the midpoint solver, the manifest's.
const STAGES: usize = 2;

fn launches() -> [u64; 5] {
    [linear::launches(), attention::launches(), qk_norm_rope::launches(), norm_modulate::launches(), conv2d::launches()]
}

/// What [`launches`] grows by with a picture, where no layer goes another way.
fn expected_launches(pipeline: &Pipeline) -> [usize; 5] {
    let tensors = &pipeline.manifest().tensors;
    let count = |times: &dyn Fn(&str) -> usize| tensors.keys().map(|name| times(name)).sum();
    let evaluations = STEPS * STAGES;
    let paints = |name: &str| name.starts_with("decoders.image.decoder") || name.contains("post_quant_conv");
    // Every matrix an evaluation, those that read the caption or paint once.
    let products = count(&|name| match name {
        _ if tensors[name].shape.len() != 2 || name.contains("encoder.mid_block") => 0,
        // Pictures have no phases.
        _ if name.contains("phase_embedder") => 0,
        _ if name.starts_with("text.embed_tokens") || name.starts_with("denoiser.audio") => 0,
        // The words' queries and keys are turned by halves, which is a product too.
        _ if name.ends_with("self_attn.q_proj.weight") || name.ends_with("self_attn.k_proj.weight") => 2,
        _ if name.starts_with("text") || name.contains("_y.") || name.contains("cap_embedder") || paints(name) => 1,
        _ => evaluations,
    });
    // To the tokens and to the caption, every evaluation; to the words of the prompt; to the pixels, in the decoder.
    let attentions = count(&|name| match name {
        _ if name.ends_with("attention.wq.weight") => 2 * evaluations,
        _ if name.ends_with("self_attn.q_proj.weight") => 1,
        _ if name.starts_with("decoders.image.decoder") && name.ends_with("to_q.weight") => 1,
        _ => 0,
    });
    let rotations = count(&|name| match name {
        _ if name.ends_with("attention.q_norm.weight") || name.ends_with("attention.k_norm.weight") => evaluations,
        _ => 0,
    });
    // On the way into both halves of a block and out of the network, every evaluation; over the caption, its keys and its mean,
    // and in the text encoder once.
    let norms = count(&|name| match name {
        _ if name.ends_with(".attention_norm.weight") || name.ends_with(".ffn_norm.weight") => evaluations,
        _ if name.starts_with("denoiser.final_layer.linear.weight") => evaluations,
        _ if name.ends_with("attention_y_norm.weight") || name.ends_with("ky_norm.weight") => 1,
        _ if name.ends_with("cap_embedder.norm.weight") => 1,
        _ if name.starts_with("text") && name.ends_with("norm.weight") => 1,
        _ => 0,
    });
    let convolutions = count(&|name| usize::from(tensors[name].shape.len() == 4 && paints(name)));
    [products, attentions, rotations, norms, convolutions]
}

#[test]
fn cpu_and_gpu_make_the_same_picture() {
    let gpu = pollster::block_on(Device::gpu(None)).expect("lavapipe is installed by `cargo xtask test`");
    let (on_cpu, on_gpu) = (toybox(Device::cpu()), toybox(gpu));
    // Different prompts: the features of the last one are kept.
    let prompts = ["a large red star on a blue background", "a small green ring"];
    for ((seed, (width, height)), prompt) in [(7, (64, 64)), (8, (96, 48))].into_iter().zip(prompts) {
        let request = || Request::image(prompt, width, height).seed(seed).steps(STEPS);
        let before = launches();
        let (cpu, gpu) = (picture(&on_cpu, request()), picture(&on_gpu, request()));
        let launched = launches().iter().zip(before).map(|(now, before)| (now - before) as usize).collect::<Vec<_>>();
        assert_eq!(launched, expected_launches(&on_gpu), "launches of our shaders");
        let found = psnr(&cpu, &gpu);
        println!("{width}x{height}, seed {seed}: {found:.1} dB");
        assert!(found >= SAME_PICTURE, "{width}x{height}: {found:.1} dB");
    }
}

#[test]
fn a_seed_decides_the_picture() {
    let pipeline = toybox(Device::cpu());
    let make = |seed| picture(&pipeline, Request::image("a green ring", 64, 64).seed(seed).steps(3));
    let first = make(1);
    assert_eq!(first, make(1));
    assert_ne!(first, make(2));
}

#[test]
fn a_dropped_stream_leaves_the_pipeline_usable() {
    let pipeline = toybox(Device::cpu());
    let request = Request::image("a green ring", 64, 64).seed(1).steps(3);
    pollster::block_on(async {
        let events = pipeline.generate(request.clone().steps(1000));
        pin_mut!(events);
        while let Some(event) = events.next().await {
            if matches!(event, Ok(Event::Step { step: 2, .. })) {
                return;
            }
        }
        panic!("the run ended before its second step");
    });
    picture(&pipeline, request);
}

#[test]
fn previews_come_when_asked_for_and_approach_the_picture() {
    let pipeline = toybox(Device::cpu());
    let mut request = Request::image("a large yellow heart on black", 64, 64).seed(3).steps(8);
    request.preview_every = 2;
    let mut previews = Vec::new();
    let last = pollster::block_on(async {
        let events = pipeline.generate(request);
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event.expect("every event is good") {
                Event::Preview(frames) => previews.extend(frames),
                Event::Done(output) => return output.frames[0].clone(),
                _ => {}
            }
        }
        panic!("no picture came")
    });
    let distances: Vec<f64> = previews.iter().map(|preview| psnr(preview, &last)).collect();
    assert_eq!(distances.len(), 3);
    assert!(distances[2] > distances[0], "{distances:?}");
}

#[test]
fn opening_tells_how_far_it_is() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/weights-quantized/toybox");
    let mut reports: Vec<LoadProgress> = Vec::new();
    pollster::block_on(async {
        let mut progress = |report| reports.push(report);
        let source = weights::folder(folder);
        let pipeline =
            Pipeline::open_with(source, Device::cpu(), &mut progress).await.expect("the shipped model opens");
        pipeline.warm_up(&mut progress).await.expect("a picture");
    });
    for stage in [LoadStage::Verify, LoadStage::Upload, LoadStage::Compile] {
        let of_stage: Vec<_> = reports.iter().filter(|report| report.stage == stage).collect();
        assert!(of_stage.is_sorted_by_key(|report| report.loaded), "{stage:?} goes back");
        assert!(of_stage.iter().all(|report| report.total == of_stage[0].total), "{stage:?} changes its mind");
        let last = of_stage.last().expect("reports of every stage");
        assert_eq!(last.loaded, last.total, "{stage:?} ends before its end");
        assert!(of_stage[0].loaded < last.total, "{stage:?} comes in one report");
    }
}
