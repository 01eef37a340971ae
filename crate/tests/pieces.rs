//! Matrices that a device cannot bind come in pieces, and tokens in spans: the same networks on a device that binds a few KiB
//! and on one that binds everything.

#[path = "support/labels.rs"]
mod labels;
#[path = "support/shipped.rs"]
mod shipped;

use std::{
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
};

use burn::tensor::{Int, Tensor, TensorData};
use flagdit::{
    Device, Pipeline, Request,
    convert::{Options, Part, convert},
    kernels::linear,
    model::{Caption, FlagDit, LatentShape, PreparedCaption, SequenceOptions},
    parts,
    plan::Plan,
    progress::Event,
    sampler::noise,
    text::language_model::batch_ids,
    weights::{self, Placement, Reader, recipe::Quant},
};
use futures_util::StreamExt as _;
use pollster::block_on;
use shipped::{SAME_PICTURE, output, psnr, toybox};

const TOYBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights-quantized/toybox");
/// Less than any matrix of these networks that matters has, and more than one row of the longest.
const FEW_BYTES: u64 = 5000;
/// ‖found − expected‖ / ‖expected‖: 0 on lavapipe and on the CPU, but a GPU may divide narrower products otherwise.
const SAME: f64 = 2e-6;

fn gpu() -> Device {
    block_on(Device::gpu(None)).expect("lavapipe is installed by `cargo xtask test`")
}

fn open(folder: &Path) -> Reader {
    block_on(Reader::open(Rc::new(weights::folder(folder)))).expect("a model folder")
}

/// Numbers of their own, whatever the device.
fn normal<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise::normal(seed, 0, shape.iter().product()), shape), device.burn())
}

/// What a network makes on a device, and how many bytes of its files it was told to have moved there.
type Made = (Vec<f32>, u64);

/// Two captions, one shorter than the other, or two classes.
fn condition(model: &FlagDit, device: &Device) -> PreparedCaption {
    let config = model.config();
    match config.num_classes {
        Some(classes) => {
            let labels = Tensor::<1, Int>::from_ints([1, classes as i32], device.burn());
            model.prepare_labels(labels)
        }
        None => {
            let mask = Tensor::from_data([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], device.burn());
            model.prepare(&Caption { features: normal(3, [2, 3, config.cap_feat_dim], device), mask })
        }
    }
}

/// A tiny random denoiser of labels, converted into `folder`: where it lies.
fn denoiser_of_labels(folder: &Path, variant: &str, quant: Quant) -> PathBuf {
    labels::write(folder, variant);
    let options = Options {
        quant,
        recipe: None,
        config: Some(folder.join(labels::ARGUMENTS)),
        text_encoder: None,
        vae: None,
        part: Some(Part::Denoiser),
    };
    let target = folder.join("model");
    convert(&folder.join(labels::CHECKPOINT), &target, &options, &mut |_| Ok(())).expect("a denoiser");
    target
}

/// The velocity of two latents, one of them with a shorter caption, or of two classes.
fn velocity(reader: &Reader, device: &Device) -> Made {
    let mut moved = 0;
    let model = block_on(parts::denoiser(reader, device, &mut |bytes| moved += bytes)).expect("its denoiser");
    let (config, caption) = (model.config(), condition(&model, device));
    let [height, width] = [6, 8];
    let sequence = model.sequence(LatentShape::picture(height, width), SequenceOptions::default(), device.burn());
    let x = normal(1, [2, config.in_channels, height, width], device);
    let t = Tensor::from_data([0.3, 0.7], device.burn());
    (values(model.forward_prepared(x, t, &caption, &sequence.at(0.3))), moved)
}

/// The features of two prompts.
fn features(reader: &Reader, device: &Device) -> Made {
    let mut moved = 0;
    let model = block_on(parts::text(reader, device, &mut |bytes| moved += bytes)).expect("its text encoder");
    let config = parts::text_config(reader.manifest()).expect("its configuration");
    let (ids, _) = batch_ids(&[vec![0, 1, 2, 1], vec![2, 0]], 0, device.burn());
    (values(model.forward_from(normal(2, [3, config.hidden_size], device), ids)), moved)
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter().collect()
}

fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let scale = norm(&mut expected.iter().copied());
    assert!(scale > 0.0, "a test on zeros");
    norm(&mut found.iter().zip(expected).map(|(found, expected)| found - expected)) / scale
}

/// Pieces that the matrices of a component come in beyond one each, and whether all that the device is given is small.
fn cuts(reader: &Reader, component: &str, device: &Device) -> usize {
    let placement = Placement::new(&device.capacity());
    let entries = reader.names_of(component).map(|name| &reader.manifest().tensors[name]);
    let matrices = entries.filter(|entry| entry.shape.len() == 2);
    let pieces = |entry: &weights::manifest::TensorEntry| {
        assert!(placement.largest_piece(&entry.shape, entry.format) <= FEW_BYTES, "{:?}", entry.shape);
        placement.pieces(&entry.shape, entry.format).len() - 1
    };
    matrices.map(pieces).sum()
}

fn check(name: &str, reader: &Reader, component: &str, make: fn(&Reader, &Device) -> Made) {
    for device in [Device::cpu(), gpu()] {
        let (expected, moved) = make(reader, &device);
        let before = linear::launches();
        let (again, _) = make(reader, &device);
        let launches = linear::launches() - before;
        assert_eq!(distance(&again, &expected), 0.0, "{name}: what is made twice differs");

        let small = device.clone().binding(FEW_BYTES);
        let cuts = cuts(reader, component, &small);
        let (found, moved_in_pieces) = make(reader, &small);
        let more = linear::launches() - before - 2 * launches;
        let error = distance(&found, &expected);
        println!("{name} on {}: {cuts} cuts, {more} launches more, {error:.1e} off", device.name());
        assert!(cuts > 10 && error <= SAME, "{name} on {}: {cuts} cuts, {error:.1e} off", device.name());
        assert_eq!(moved_in_pieces, moved, "{name}: progress");
        // Every piece is a product of its own.
        assert!(
            device.kind() == flagdit::device::Kind::Cpu || more >= cuts as u64 / 2,
            "{more} launches for {cuts} cuts"
        );
    }
}

/// Held by tests that launch: launches are counted in the whole process.
static LAUNCHING: Mutex<()> = Mutex::new(());

fn launch_alone() -> MutexGuard<'static, ()> {
    LAUNCHING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn networks_work_in_pieces() {
    let _alone = launch_alone();
    let shipped = open(Path::new(TOYBOX));
    check("the shipped denoiser", &shipped, parts::DENOISER, velocity);
    check("the shipped text encoder", &shipped, parts::TEXT, features);
    for (variant, quant) in [("flag", Quant::F32), ("next", Quant::F16), ("next", Quant::Q4)] {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let target = denoiser_of_labels(folder.path(), variant, quant);
        check(&format!("{variant} in {quant:?}"), &open(&target), parts::DENOISER, velocity);
    }
}

/// ‖found − expected‖ / ‖expected‖ of a velocity whose attention is put together of several: sums in another order.
const PUT_TOGETHER: f64 = 1e-5;
/// The same where the CPU rounds to 16 bits before it multiplies by codes: what is next to half a step may be a step apart,
/// 1.5e-5 of the largest number, and the next layers make more of it.
const PUT_TOGETHER_AND_ROUNDED: f64 = 2e-4;

/// A clip, whose frames have phases and two sorts of separators, and pictures with one sort or none.
#[test]
fn tokens_in_spans_become_what_they_become_together() {
    let _alone = launch_alone();
    let next = tempfile::tempdir().expect("a folder for temporary files");
    let target = denoiser_of_labels(next.path(), "next", Quant::F32);
    let clip = LatentShape::Frames { frames: 3, height: 4, width: 6 };
    for (folder, shape, has_codes) in [(Path::new(TOYBOX), clip, true), (&target, LatentShape::picture(6, 8), false)] {
        let reader = open(folder);
        for device in [Device::cpu(), gpu()] {
            let model = block_on(parts::denoiser(&reader, &device, &mut |_| ())).expect("its denoiser");
            let (config, caption) = (model.config(), condition(&model, &device));
            let LatentShape::Frames { frames, height, width } = shape else { unreachable!("both are pictures") };
            let x = normal(1, [2, config.in_channels, frames * height, width], &device);
            let velocity = |most_tokens: Option<usize>| {
                let options = SequenceOptions { most_tokens, ..SequenceOptions::default() };
                let sequence = model.sequence(shape, options, device.burn());
                let t = Tensor::from_data([0.3, 0.7], device.burn());
                values(model.forward_prepared(x.clone(), t, &caption, &sequence))
            };
            let expected = velocity(None);
            let is_rounded = has_codes && !device.capacity().is_gpu;
            let tolerance = if is_rounded { PUT_TOGETHER_AND_ROUNDED } else { PUT_TOGETHER };
            // One token alone may be a separator.
            for most in [1, 5, 8, 1000] {
                let error = distance(&velocity(Some(most)), &expected);
                println!("{} tokens at once on {}: {error:.1e} off", most, device.name());
                assert!(error <= tolerance, "{most} tokens at once on {}: {error:.1e} off", device.name());
            }
        }
    }
}

/// Bytes in which the shipped decoder takes four tiles for a picture of 128 × 128.
const TILE_BYTES: u64 = 800 << 10;
/// More than the tokens of one row of [`LONG`] frames, less than those of two.
const ROW_BYTES: u64 = 300 << 10;
const LONG: usize = 40;

/// Less than the tokens of one row.
const SPAN_BYTES: u64 = 160 << 10;

/// A guided evaluation has two rows, and neither knows of the other; a row's tokens are bound span by span.
#[test]
fn rows_and_tokens_that_cannot_be_bound_together_are_evaluated_apart() {
    let request = Request { width: Some(32), height: Some(32), ..Request::video("a red star spins", LONG) };
    let make = |device: Device, batch: usize, is_whole: bool| {
        let pipeline = toybox(device);
        let request = request.clone().seed(4).steps(2);
        let settings = pipeline.settings(&request).expect("a request of it");
        let plan = Plan::new(pipeline.blueprint(), &settings, pipeline.device().capacity()).expect("a plan");
        assert_eq!((plan.batch, plan.span == plan.tokens, plan.obstacles), (batch, is_whole, Vec::new()));
        output(&pipeline, request).frames
    };
    let expected = make(Device::cpu(), 2, true);
    for (bytes, is_whole) in [(ROW_BYTES, true), (SPAN_BYTES, false)] {
        let found = make(Device::cpu().binding(bytes), 1, is_whole);
        let worst = found.iter().zip(&expected).map(|(found, expected)| psnr(found, expected)).fold(f64::MAX, f64::min);
        println!("{bytes} bytes at once: {worst:.1} dB");
        assert!(worst >= SAME_PICTURE, "{bytes} bytes at once: {worst:.1} dB");
    }
}

#[test]
fn a_picture_in_tiles_tells_how_far_it_is_and_ends_within_one() {
    let request = || Request::image("a red star", 128, 128).seed(3).steps(2);
    let (whole, in_tiles) = (toybox(Device::cpu()), toybox(Device::cpu().binding(TILE_BYTES)));
    let make = |pipeline: &Pipeline, most: usize| {
        let mut told = Vec::new();
        let events = pipeline.generate(request());
        let mut events = pin!(events);
        while let Some(event) = block_on(events.next()) {
            match event.expect("every event is good") {
                Event::Decode { done, total } => told.push((done, total)),
                Event::Done(output) => return (told, Some(output.frames[0].clone())),
                _ => {}
            }
            if told.len() == most {
                break; // The stream is dropped.
            }
        }
        (told, None)
    };
    let (told, expected) = make(&whole, usize::MAX);
    assert_eq!(told, []);
    assert_eq!(make(&in_tiles, 3).0.len(), 3);
    let (told, found) = make(&in_tiles, usize::MAX);
    let total = told[0].1;
    println!("told {} times of {total} parts", told.len());
    assert!(total > 10 && told.is_sorted() && told.iter().all(|part| part.1 == total), "{told:?}");
    assert_eq!((told[0].0, told.last()), (0, Some(&(total, total))));
    let alike = psnr(&found.expect("a picture"), &expected.expect("a picture"));
    println!("in tiles: {alike:.1} dB");
    assert!(alike >= SAME_PICTURE, "{alike:.1} dB");
}
