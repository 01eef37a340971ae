//! Models of labels (ImageNet's): a checkpoint by upstream's names and an autoencoder are converted to a whole model, whose
//! pictures are those that its parts make where they are called one by one.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/labels.rs"]
mod labels;

use std::path::PathBuf;

use burn::tensor::{Int, Tensor, TensorData};
use flagdit::{
    Device, Pipeline, Request,
    convert::{Options, Part, convert},
    decode::vae::AutoencoderKl,
    error::ErrorKind,
    modality::image,
    model::{FlagDit, FlagDitConfig, LatentShape, SequenceOptions},
    plan::Blueprint,
    progress::{Event, Image, Output, Stage},
    request::Kind,
    sampler::noise,
    weights::{self, Manifest, Reader, manifest::Conditioning, params::Params, recipe::Quant, upstream},
};
use futures_util::{StreamExt, pin_mut};
use labels::{ARGUMENTS, CHECKPOINT, CLASSES, INPUT_SIZE};
use tempfile::TempDir;

/// Levels of 255 by which a pixel may be off: two rows in a batch are the sums of one in another order.
const ROUNDING: i32 = 1;
const STEPS: usize = 3;
const GUIDANCE: f64 = 3.0;
const SEED: u64 = 5;

/// A model in a folder of its own.
struct Written {
    folder: TempDir,
    config: FlagDitConfig,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

fn written(variant: &str) -> Written {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (config, tensors) = labels::write(folder.path(), variant);
    Written { folder, config, tensors }
}

fn options(model: &Written) -> Options {
    Options {
        quant: Quant::F32,
        recipe: None,
        config: Some(model.folder.path().join(ARGUMENTS)),
        text_encoder: None,
        vae: Some(golden::path("vae/vae")),
        part: None,
    }
}

/// A whole model, in `model`.
fn converted(model: &Written) -> (PathBuf, Manifest) {
    let target = model.folder.path().join("model");
    let checkpoint = model.folder.path().join(CHECKPOINT);
    let manifest = convert(&checkpoint, &target, &options(model), &mut |_| Ok(())).expect("a whole model");
    (target, manifest)
}

fn request(class: usize) -> Request {
    Request { solver: Some("euler".to_owned()), ..Request::of_class(Kind::Image, class) }
        .steps(STEPS)
        .guidance(GUIDANCE)
        .seed(SEED)
}

#[test]
fn flag_dit_draws_a_class_on_the_cpu() {
    check("flag", Device::cpu());
}

#[test]
fn next_dit_draws_a_class_on_the_cpu() {
    check("next", Device::cpu());
}

#[test]
fn flag_dit_draws_a_class_on_the_gpu() {
    check("flag", software_gpu());
}

#[test]
fn next_dit_draws_a_class_on_the_gpu() {
    check("next", software_gpu());
}

fn software_gpu() -> Device {
    pollster::block_on(Device::gpu(None)).expect("lavapipe is installed by `cargo xtask test`")
}

fn check(variant: &str, device: Device) {
    let model = written(variant);
    let (target, manifest) = converted(&model);
    assert_eq!(manifest.conditioning, Conditioning::Labels);
    let pipeline = pollster::block_on(Pipeline::open(weights::folder(&target), device.clone())).expect("it opens");
    pollster::block_on(pipeline.warm_up(&mut |_| {})).expect("a picture of any class");
    let pictures = [0, CLASSES - 1].map(|class| {
        let made = output(&pipeline, request(class));
        assert_eq!((made.settings.class, made.settings.prompt.as_str()), (Some(class), ""));
        let picture = made.frames.into_iter().next().expect("a picture");
        let worst = farthest(&picture, &composed(&model, class, &device));
        println!("{variant} on {}, class {class}: at most {worst} of 255 off", device.name());
        assert!(worst <= ROUNDING, "{variant}, class {class}: {worst} of 255 off");
        picture
    });
    assert!(farthest(&pictures[0], &pictures[1]) > 20, "two classes look alike");
    let flops =
        pipeline.step_flops(&pipeline.settings(&request(0)).expect("a request of it")).expect("a request of it");
    assert_eq!(flops, model.config.flops(2, (INPUT_SIZE / model.config.patch_size).pow(2), 0));
}

fn output(pipeline: &Pipeline, request: Request) -> Output {
    pollster::block_on(async {
        let events = pipeline.generate(request);
        pin_mut!(events);
        while let Some(event) = events.next().await {
            if let Event::Done(output) = event.expect("every event is good") {
                return *output;
            }
        }
        panic!("no output came")
    })
}

fn farthest(a: &Image, b: &Image) -> i32 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    a.rgb.iter().zip(&b.rgb).map(|(&a, &b)| (i32::from(a) - i32::from(b)).abs()).max().expect("pixels")
}

/// The picture of a class, by the parts of the model alone, from the values that were written: Euler's steps of equal length,
/// and guidance away from the row behind the last class, on three channels of four (`forward_with_cfg`).
fn composed(model: &Written, class: usize, device: &Device) -> Image {
    let device = device.burn();
    let denoiser =
        FlagDit::new(&model.config, &Params::from_values(model.tensors.iter().cloned(), device)).expect("a network");
    let shape = [1, 4, INPUT_SIZE, INPUT_SIZE];
    let latent = LatentShape::picture(INPUT_SIZE, INPUT_SIZE);
    let sequence = denoiser.sequence(latent, SequenceOptions::default(), device);
    let velocity = |x: &Tensor<4>, t: f32, label: usize| {
        let label = Tensor::<1, Int>::from_ints([label as i32], device);
        let time = Tensor::from_floats([t], device);
        denoiser.forward_prepared(x.clone(), time, &denoiser.prepare_labels(label), &sequence)
    };
    let values = noise::normal(SEED, 0, shape.iter().product());
    let mut x = Tensor::<4>::from_data(TensorData::new(values, shape), device);
    for step in 0..STEPS {
        let t = step as f32 / STEPS as f32;
        let [shown, none] = [class, CLASSES].map(|label| velocity(&x, t, label));
        let [first, plain] = [shown.clone().narrow(1, 0, 3), shown.narrow(1, 3, 1)];
        let none = none.narrow(1, 0, 3);
        let guided = none.clone() + (first - none).mul_scalar(GUIDANCE);
        x = x + Tensor::cat(vec![guided, plain], 1).div_scalar(STEPS as f64);
    }
    let config = serde_json::from_value(golden::json("vae/vae/config.json")).expect("a configuration");
    let stored = golden::tensors("vae/vae/diffusion_pytorch_model.safetensors");
    let named = stored.into_iter().filter_map(|(name, tensor)| {
        let shape = upstream::autoencoder_kl_shape(&name, &tensor.shape).to_vec();
        Some((upstream::autoencoder_kl(&name)?, shape, tensor.values))
    });
    let vae = AutoencoderKl::new(&config, &Params::from_values(named, device)).expect("an autoencoder");
    pollster::block_on(image::to_image(vae.decode(x))).expect("a picture")
}

#[test]
fn what_such_a_model_cannot_be_asked_for_is_refused_by_name() {
    let (_, manifest) = converted(&written("next"));
    let blueprint = Blueprint::new(&manifest, "").expect("a whole model");
    let refusal = |request: Request| {
        let error = blueprint.settings(&request).expect_err("a request that is refused");
        assert_eq!(error.kind(), ErrorKind::BadRequest);
        error.to_string()
    };
    let beyond = refusal(Request::of_class(Kind::Image, CLASSES));
    assert!(beyond.starts_with("class: expected 0 to 6") && beyond.contains("found 7"), "{beyond}");
    let words = refusal(Request::new(Kind::Image, "a cat"));
    assert!(words.starts_with("prompt: expected a class instead, 0 to 6") && words.contains("not words"), "{words}");
    assert!(refusal(Request { width: Some(63), ..request(0) }).contains("64x64"));
    let settings = blueprint.settings(&blueprint.example(Kind::Image)).expect("a request of it");
    assert_eq!((settings.width, settings.time_shift), (8 * INPUT_SIZE, 1.0));
    let plan = flagdit::plan::Plan::new(&blueprint, &settings, Device::cpu().capacity()).expect("a plan");
    assert_eq!(plan.stage(Stage::Encode).bytes(), 0);
    assert!(plan.stage(Stage::Sample).weights > 0 && plan.obstacles.is_empty());

    let toybox = concat!(env!("CARGO_MANIFEST_DIR"), "/weights-quantized/toybox/manifest.json");
    let toybox = Blueprint::parse(&std::fs::read(toybox).expect("the model that ships")).expect("a whole model");
    let class =
        toybox.settings(&Request::of_class(Kind::Image, 3)).expect_err("a class of a model of words").to_string();
    assert!(class.starts_with("class: expected a prompt instead, found 3; toybox "), "{class}");
}

#[test]
fn what_does_not_belong_to_such_a_model_is_told() {
    let model = written("flag");
    let in_folder = |name: &str| model.folder.path().join(name);
    let checkpoint = in_folder(CHECKPOINT);
    let refusal = |options: Options| {
        let target = in_folder("model");
        let error = convert(&checkpoint, &target, &options, &mut |_| Ok(())).expect_err("a refusal").to_string();
        assert!(!target.exists());
        error
    };
    let text = refusal(Options { text_encoder: Some("llama".into()), ..options(&model) });
    assert!(text.starts_with("--text-encoder: expected none") && text.ends_with("found llama"), "{text}");
    assert!(refusal(Options { vae: None, ..options(&model) }).starts_with("--vae: "));
    assert!(refusal(Options { config: None, ..options(&model) }).contains("--config"));
    let mut arguments: serde_json::Value =
        serde_json::from_slice(&std::fs::read(in_folder(ARGUMENTS)).expect("JSON")).expect("JSON");
    arguments["input_size"] = 7.into();
    let odd = in_folder("odd.json");
    std::fs::write(&odd, arguments.to_string()).expect("a file that can be written");
    assert!(refusal(Options { config: Some(odd), ..options(&model) }).contains("input_size: expected a multiple"));

    let alone = in_folder("alone");
    let part = Options { part: Some(Part::Denoiser), ..options(&model) };
    let mut manifest = convert(&checkpoint, &alone, &part, &mut |_| Ok(())).expect("a denoiser");
    assert_eq!(manifest.conditioning, Conditioning::Labels);
    let missing = Blueprint::new(&manifest, "").expect_err("a part of a model").to_string();
    assert!(missing.contains("decoders.image") && missing.contains("labels"), "{missing}");
    manifest.conditioning = Conditioning::Text;
    let untold = Blueprint::new(&manifest, "").expect_err("a contradiction").to_string();
    assert!(untold.starts_with("conditioning: expected labels"), "{untold}");
    let reader = Reader::open(std::rc::Rc::new(weights::folder(&alone)));
    assert!(pollster::block_on(reader).is_ok(), "what states its conditioning is read");
}
