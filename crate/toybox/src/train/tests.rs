use std::path::PathBuf;

use burn::tensor::{Device, Distribution, Tensor};
use flagdit::{
    decode::vae::AutoencoderKl,
    model::{Caption, FlagDit, LatentShape, Prediction, SequenceOptions},
    weights::params::Params,
};

use super::{
    batches,
    checkpoint::{self, Counters, parameters},
    optimizer::{Optimizer, StepOptions},
    parallel::{gradients, split},
    progress::Limit,
    recipe::{Method, Recipe, Stage, Times},
    schedule::learning_rate,
};
use crate::world::Rng;

/// Sums of a few thousand f32 products, added in another order.
const ROUNDING: f32 = 1e-4;

fn recipe() -> Recipe {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recipes/small.json");
    let mut recipe = Recipe::read(&path).expect("the committed recipe");
    recipe.vae.block_out_channels = vec![4, 8];
    recipe
}

fn autoencoder(device: &Device) -> AutoencoderKl {
    AutoencoderKl::new(&recipe().vae, &Params::random(device)).expect("a tiny autoencoder")
}

fn options(method: Method, rate: f64) -> StepOptions {
    StepOptions { rate, decay: 0.0, ema: 0.9, method }
}

fn pictures(count: usize, device: &Device) -> Tensor<4> {
    Tensor::random([count, 3, 8, 8], Distribution::Normal(0.0, 1.0), device)
}

fn reconstruction(model: &AutoencoderKl, pictures: Tensor<4>) -> Tensor<1> {
    let error = model.decode(model.encode(pictures.clone())) - pictures;
    (error.clone() * error).mean()
}

#[test]
fn parts_of_a_batch_give_the_gradients_of_the_whole() {
    let device = Device::flex().autodiff();
    let (model, batch) = (autoencoder(&device), pictures(6, &device));
    let (whole, expected) = gradients(&model, &device, vec![(1.0, batch.clone())], reconstruction);
    let parts = [(0, 4, 4.0 / 6.0), (4, 2, 2.0 / 6.0)].map(|(at, n, share)| (share, batch.clone().narrow(0, at, n)));
    let (sum, found) = gradients(&model, &device, parts.to_vec(), reconstruction);
    let [whole, sum] = [whole, sum].map(Tensor::into_scalar::<f32>);
    assert!((whole - sum).abs() < ROUNDING, "{whole} {sum}");
    assert_eq!(found.len(), parameters(&model).len());
    for (name, gradient) in found {
        let scale = expected[&name].clone().abs().max().into_scalar::<f32>().max(1e-3);
        let error = (gradient - expected[&name].clone()).abs().max().into_scalar::<f32>();
        assert!(error < ROUNDING * scale, "{name}: {error} of {scale}");
    }
}

#[test]
fn every_item_is_in_exactly_one_part() {
    for count in 1..40 {
        let parts = split(count, &Device::flex());
        let mut next = 0;
        for &(start, length, _) in &parts {
            assert_eq!(start, next);
            assert!(length > 0);
            next += length;
        }
        assert_eq!(next, count);
        assert!((parts.iter().map(|part| part.2).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_first_step_goes_by_the_learning_rate_against_the_gradient() {
    let device = Device::flex().autodiff();
    let model = autoencoder(&device);
    let before = parameters(&model);
    let (_, gradients) = gradients(&model, &device, vec![(1.0, pictures(4, &device))], reconstruction);
    let signs: std::collections::BTreeMap<_, _> =
        gradients.iter().map(|(name, g)| (name.clone(), checkpoint::values(g.clone()))).collect();
    let after = parameters(&Optimizer::default().step(model, gradients, options(Method::AdamW, 1e-2)));
    for ((name, _, old), (_, _, new)) in before.iter().zip(&after) {
        for ((old, new), gradient) in old.iter().zip(new).zip(&signs[name]) {
            // Bias-corrected moments of one step are g and g², so the step is the rate, unless g drowns in epsilon.
            if gradient.abs() > 1e-4 {
                assert!((old - new - 1e-2 * gradient.signum()).abs() < 1e-4, "{name}: {old} {new} {gradient}");
            }
        }
    }
}

#[test]
fn steps_lower_the_loss_and_a_checkpoint_goes_on_where_it_stopped() {
    let device = Device::flex().autodiff();
    let batch = pictures(4, &device);
    let (mut model, mut optimizer) = (autoencoder(&device), Optimizer::default());
    let step = |model: AutoencoderKl, optimizer: &mut Optimizer| {
        let (loss, gradients) = gradients(&model, &device, vec![(1.0, batch.clone())], reconstruction);
        (optimizer.step(model, gradients, options(Method::Muon, 3e-3)), loss)
    };
    let mut losses = Vec::new();
    for _ in 0..12 {
        let loss;
        (model, loss) = step(model, &mut optimizer);
        losses.push(loss.into_scalar::<f32>());
    }
    assert!(losses[11] < losses[0], "{losses:?}");

    let path = std::env::temp_dir().join(format!("toybox-checkpoint-{}.safetensors", std::process::id()));
    let counters = Counters { pictures: 48, steps: 12, seconds: 1.5 };
    checkpoint::save(&path, &model, &optimizer, counters).expect("a checkpoint is written");
    let (params, mut resumed_optimizer, found) = checkpoint::load(&path, &device).expect("and read");
    std::fs::remove_file(&path).expect("it was there");
    assert_eq!(found, counters);
    let resumed = AutoencoderKl::new(&recipe().vae, &params).expect("every tensor is there");
    let (expected, found) = (step(model, &mut optimizer).0, step(resumed, &mut resumed_optimizer).0);
    assert_eq!(parameters(&expected), parameters(&found));
}

#[test]
fn the_rate_rises_then_falls() {
    let stage: Stage = Stage { pictures: 1000, warmup: 100, learning_rate: 1.0, ..recipe().flow };
    let rate = |pictures| learning_rate(&stage, pictures, stage.progress(pictures));
    assert!(rate(0) < 0.02 && rate(49) < rate(99));
    assert!(rate(99) > 0.9 && rate(500) < rate(200) && rate(1000) < 0.03);
    assert_eq!(rate(1000), rate(5000));
}

#[test]
fn a_rate_that_falls_with_the_minutes_ends_with_them_and_begins_where_the_pictures_are() {
    let annealing = Limit { minutes: 5.0, anneals: true };
    assert_eq!([0.0, 0.5, 1.0, 1.2].map(|used| annealing.progress(0.25, 0.25, used)), [0.25, 0.625, 1.0, 1.0]);
    // The pictures may be quicker.
    assert_eq!(annealing.progress(0.25, 0.9, 0.5), 0.9);
    assert_eq!(Limit { anneals: false, ..annealing }.progress(0.25, 0.3, 0.9), 0.3);
}

#[test]
fn batches_are_the_same_from_any_number_of_threads_and_after_a_resumption() {
    let recipe = recipe();
    let stage = Stage { batch: 4, ..recipe.flow.clone() };
    let drawn = |pictures, threads, count: usize| {
        let mut batches = batches::stream(&recipe, &stage, pictures, 1.0, threads, |batch| batch);
        let next = |_| batches.recv().map(|batch| (batch.bucket, batch.captions, batch.values)).expect("one more");
        (0..count).map(next).collect::<Vec<_>>()
    };
    let alone = drawn(0, 1, 7);
    assert!(alone == drawn(0, 3, 7), "three threads draw otherwise than one");
    assert!(alone[3..] == drawn(3 * stage.batch as u64, 2, 4), "a resumption draws otherwise");
    assert!(alone[0] != alone[1]);
}

#[test]
fn times_lie_where_the_recipe_has_them() {
    let mut rng = Rng::stream(7, "times", 0);
    let mut share_below = |times: Times, bound: f32| {
        let drawn: Vec<f32> = (0..20_000).map(|_| times.draw(&mut rng)).collect();
        assert!(drawn.iter().all(|time| (0.0..=1.0).contains(time)));
        drawn.iter().filter(|&&time| time < bound).count() as f32 / drawn.len() as f32
    };
    // Half of a logit-normal lies below the sigmoid of its mean; 20 000 draws tell the share within 0.01.
    let median = 1.0 / (1.0 + 2.0_f32.exp());
    assert!((share_below(Times { uniform: 0.0, mean: -2.0, std: 1.3 }, median) - 0.5).abs() < 0.015);
    assert!((share_below(Times { uniform: 1.0, mean: -2.0, std: 1.3 }, 0.3) - 0.3).abs() < 0.015);
    assert!((share_below(Times { uniform: 0.5, mean: -2.0, std: 1.3 }, median) - 0.5 * (0.5 + median)).abs() < 0.015);
}

#[test]
fn a_network_that_predicts_data_has_the_velocity_to_it() {
    let device = Device::flex();
    let mut config = recipe().denoiser;
    let fresh = FlagDit::new(&config, &Params::random(&device)).expect("the recipe's denoiser");
    // A new network's output is zero: every parameter gets noise instead.
    let noise = |shape: &[usize]| {
        let all = Tensor::<1>::random([shape.iter().product::<usize>()], Distribution::Normal(0.0, 0.1), &device);
        checkpoint::values(all)
    };
    let tensors: Vec<_> = parameters(&fresh)
        .into_iter()
        .map(|(name, shape, _)| {
            let values = noise(&shape);
            (name, shape, values)
        })
        .collect();
    let [count, frames] = [2, 6];
    let bands = config.audio.expect("the recipe knows sound").bands;
    let x = Tensor::<4>::random([count, 1, bands, frames], Distribution::Normal(0.0, 1.0), &device);
    let caption = Caption {
        features: Tensor::random([count, 3, config.cap_feat_dim], Distribution::Normal(0.0, 1.0), &device),
        mask: Tensor::ones([count, 3], &device),
    };
    let mut out = |predicts, times: [f32; 2]| {
        config.audio.as_mut().expect("it does").predicts = predicts;
        let model = FlagDit::new(&config, &Params::from_values(tensors.clone(), &device)).expect("the same tensors");
        let shape = LatentShape::Spectrogram { frames };
        let sequence = model.sequence(shape, SequenceOptions::default(), &device);
        model.forward(x.clone(), Tensor::from_floats(times, &device), &caption, &sequence)
    };
    // Of the last twentieth of the path no less than a twentieth is taken to be left.
    for (times, rest) in [([0.0, 0.0], 1.0), ([0.6, 0.6], 0.4), ([0.99, 1.0], 0.05)] {
        let data = out(Prediction::Velocity, times);
        let expected = (data - x.clone()) / rest;
        let scale = expected.clone().abs().max().into_scalar::<f32>();
        let error = (out(Prediction::Data, times) - expected).abs().max().into_scalar::<f32>();
        assert!(scale > 0.1 && error < ROUNDING * scale, "{times:?}: {error} of {scale}");
    }
}
