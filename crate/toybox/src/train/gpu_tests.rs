//! A training on a GPU goes as on the CPU. The adapter is a software one, so that these tests need no GPU.

use std::{collections::BTreeMap, path::PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::{
    model::{LatentShape, SequenceOptions},
    weights::params::Params,
};

use super::{
    captions::Captions,
    checkpoint::{Named, parameters, values},
    denoiser::{Part, TextToLatent, loss},
    optimizer::{Optimizer, StepOptions},
    parallel::{GradientMap, gradients},
    recipe::{Method, Recipe},
};
use crate::world::Rng;

#[path = "../../../tests/support/devices.rs"]
mod devices;

/// Sums of thousands of f32 products in another order, through a whole network and back.
const ROUNDING: f32 = 2e-4;
/// A share of what steps moved a parameter by: Newton-Schulz lifts the smallest singular values of a momentum, with their
/// rounding, up to 500 times. A value of another parameter would be off by all of it.
const OF_STEPS: f32 = 5e-2;
const RATE: f64 = 1e-2;

fn gpu() -> Device {
    devices::software_gpu().0.autodiff()
}

/// A tiny model with a few of everything.
fn recipe() -> Recipe {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recipes/small.json");
    let mut recipe = Recipe::read(&path).expect("the committed recipe");
    (recipe.denoiser.dim, recipe.denoiser.n_layers, recipe.denoiser.n_heads) = (32, 2, 2);
    (recipe.text.hidden_size, recipe.text.intermediate_size, recipe.text.num_attention_heads) = (16, 32, 2);
    recipe.denoiser.cap_feat_dim = 16;
    recipe
}

const VOCABULARY: usize = 96;

/// Numbers from −`most` to `most`; those of a device would depend on what other tests draw meanwhile.
fn numbers(seed: u64, most: f32, count: usize) -> Vec<f32> {
    let mut rng = Rng::stream(seed, "tests", 0);
    (0..count).map(|_| rng.range(-most, most)).collect()
}

/// Its parameters, none of which is zero: zeros would hide what is behind them.
fn weights(recipe: &Recipe) -> Vec<Named> {
    let model = TextToLatent::new(recipe, VOCABULARY, &Params::random(&Device::flex())).expect("a tiny model");
    let filled = |(place, (name, shape, old)): (usize, Named)| (name, shape, numbers(place as u64, 0.3, old.len()));
    parameters(&model).into_iter().enumerate().map(filled).collect()
}

/// The loss of a batch of clips, and its gradients.
fn of_clips(recipe: &Recipe, weights: &[Named], device: &Device) -> (f32, GradientMap) {
    const COUNT: usize = 6;
    let shape = LatentShape::Frames { frames: 2, height: 4, width: 4 };
    let model =
        TextToLatent::new(recipe, VOCABULARY, &Params::from_values(weights.to_vec(), device)).expect("the same");
    let channels = recipe.denoiser.in_channels;
    let random = |seed| {
        let numbers = numbers(seed, 1.7, COUNT * channels * 8 * 4);
        Tensor::from_data(TensorData::new(numbers, [COUNT, channels, 8, 4]), device)
    };
    let rows: Vec<Vec<u32>> =
        (0..COUNT as u32).map(|i| (1..3 + 2 * i).map(|j| (7 * i + 5 * j) % 96).collect()).collect();
    let times: Vec<f32> = (0..COUNT).map(|i| i as f32 / COUNT as f32).collect();
    let part = Part {
        captions: Captions::new(&rows, 0, device),
        data: random(1),
        noise: random(2),
        t: Tensor::from_data(TensorData::new(times, [COUNT]), device),
    };
    let sequence = model.denoiser.sequence(shape, SequenceOptions::default(), device);
    let (loss, gradients) = gradients(&model, device, vec![(1.0, part)], |model, part| loss(model, part, &sequence));
    (loss.into_scalar::<f32>(), gradients)
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn a_batch_has_the_loss_and_the_gradients_of_the_cpu() {
    let recipe = recipe();
    let weights = weights(&recipe);
    let (expected_loss, expected) = of_clips(&recipe, &weights, &Device::flex().autodiff());
    let (loss, found) = of_clips(&recipe, &weights, &gpu());
    assert!((loss - expected_loss).abs() < ROUNDING * expected_loss, "{loss}, expected {expected_loss}");
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(name, gradient)| (name, values(gradient))).collect();
    let scale = expected.values().map(|gradient| largest(gradient)).fold(0.0, f32::max);
    for (name, gradient) in found {
        let (found, expected) = (values(gradient), &expected[&name]);
        // What is far smaller than the largest gradient is a difference of such.
        let (off, most) = (farthest(&found, expected), largest(expected).max(1e-2 * scale));
        assert!(most > 0.0 && off < ROUNDING * most, "{name}: {off} of {most}");
    }
}

/// Gradients of steps in which not all parameters take part, as those of sound and of pictures do not.
fn some_gradients(weights: &[Named], step: u64, device: &Device) -> GradientMap {
    let takes_part = |name: &str| match step {
        0 => !name.contains("audio"),
        1 => !name.contains("phase") && !name.contains("denoiser.x_embedder"),
        _ => true,
    };
    let plain = device.clone().without_autodiff();
    let gradient = |(place, (name, _, old)): (usize, &Named)| {
        let numbers = numbers(1000 * (step + 1) + place as u64, 0.2, old.len());
        (name.clone(), Tensor::from_data(TensorData::new(numbers, [old.len()]), &plain))
    };
    weights.iter().enumerate().filter(|(_, (name, ..))| takes_part(name)).map(gradient).collect()
}

#[test]
fn groups_take_the_steps_of_parameters_alone_and_keep_the_same_by_name() {
    let recipe = recipe();
    let weights = weights(&recipe);
    let trained = |device: Device| {
        let params = Params::from_values(weights.clone(), &device);
        let mut model = TextToLatent::new(&recipe, VOCABULARY, &params).expect("the same");
        let mut optimizer = Optimizer::default();
        for step in 0..4 {
            let gradients = some_gradients(&weights, step, &device);
            let options = StepOptions { rate: RATE, decay: 0.1, ema: 0.9, method: Method::Muon };
            model = optimizer.step(model, gradients, options);
        }
        (parameters(&model), optimizer.moments())
    };
    let ((expected, expected_moments), (found, moments)) = (trained(Device::flex().autodiff()), trained(gpu()));
    assert_eq!(found.len(), weights.len());
    for (((name, _, found), (other, _, expected)), (_, _, before)) in found.iter().zip(&expected).zip(&weights) {
        assert_eq!(name, other);
        let (off, moved) = (farthest(found, expected), farthest(expected, before));
        assert!(moved > 0.0 && off < OF_STEPS * moved, "{name}: {off}, moved by {moved}");
    }
    assert_eq!(moments.keys().collect::<Vec<_>>(), expected_moments.keys().collect::<Vec<_>>());
    for (name, found) in moments {
        let expected = &expected_moments[&name];
        assert_eq!(found.second.is_some(), expected.second.is_some(), "{name}");
        let off = farthest(&found.first, &expected.first);
        assert!(off < ROUNDING * largest(&expected.first), "{name}: {off}");
        let average = farthest(&found.average, &expected.average);
        assert!(average < OF_STEPS * RATE as f32, "{name}: an average off by {average}");
    }
}
