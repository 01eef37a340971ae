//! Decoding by tiles against decoding at once, with random weights (upstream's structure) and with the autoencoder that
//! ships.

use std::rc::Rc;

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::decode::vae::AutoencoderKl;
use flagdit::parts;
use flagdit::sampler::noise::normal;
use flagdit::weights::{self, Reader};

use crate::{
    load,
    support::{self, Target},
};

/// A level of 255, of values that are about −1 … 1.
const LEVEL: f64 = 2.0 / 255.0;
/// No pixel may be off by more, so that none changes by more than one level.
const LARGEST: f64 = 0.5 * LEVEL;
/// On average they are off by no more.
const MEAN: f64 = 0.1 * LEVEL;

#[test]
fn tiles_of_random_weights_on_the_cpu() {
    random_weights(&support::cpu(), [36, 43], &[4, 12]);
}

#[test]
fn tiles_of_random_weights_on_the_gpu() {
    random_weights(&support::software_gpu(), [8, 40], &[3]);
}

fn random_weights(target: &Target, [height, width]: [usize; 2], parts: &[usize]) {
    let (config, model) = load("vae", target);
    let shape = [1, config.latent_channels, height, width];
    let latent = Tensor::from_data(TensorData::new(normal(5, 0, shape.iter().product()), shape), &target.device);
    compare(&format!("random weights on {}", target.name), &model, latent, parts);
}

#[test]
fn tiles_of_the_shipped_autoencoder_on_the_cpu() {
    let device = support::cpu().device;
    let model = shipped();
    compare("the shipped autoencoder", &model, model.encode(scene(256, 384, &device)), &[4, 12]);
}

fn shipped() -> AutoencoderKl {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/weights-quantized/toybox");
    pollster::block_on(async {
        let reader = Reader::open(Rc::new(weights::folder(folder))).await.expect("the shipped model opens");
        parts::autoencoder(&reader, &flagdit::Device::cpu(), &mut |_| {}).await.expect("its autoencoder is whole")
    })
}

/// Discs of many sizes and colours before a sky that grows darker: no part of it is like the whole. `[1, 3, H, W]`.
fn scene(height: usize, width: usize, device: &Device) -> Tensor<4> {
    let discs: Vec<_> = (0..40).map(|i| normal(11, i, 6)).collect();
    let pixel = |i: usize| {
        let (channel, y, x) = (i / (height * width), i / width % height, i % width);
        let [y, x] = [y as f32 / height as f32, x as f32 / width as f32];
        let is_inside =
            |disc: &&Vec<f32>| (disc[0] - 3.0 * x + 1.5).hypot(disc[1] - 3.0 * y + 1.5) < 0.1 + 0.2 * disc[2].abs();
        discs.iter().rfind(is_inside).map_or(0.8 - 1.4 * y, |disc| disc[3 + channel].clamp(-1.0, 1.0))
    };
    let values: Vec<f32> = (0..3 * height * width).map(pixel).collect();
    Tensor::from_data(TensorData::new(values, [1, 3, height, width]), device)
}

/// Decodes at once, and in tensors that are so many times smaller.
fn compare(name: &str, model: &AutoencoderKl, latent: Tensor<4>, parts: &[usize]) {
    let at_once = model.decode(latent.clone());
    let [_, _, height, width] = at_once.dims();
    // The second widest channels are upsampled to the full resolution.
    let all_bytes =
        model.decoder.up_blocks[2].upsamplers[0].conv.bias.val().dims()[0] * height * width * size_of::<f32>();
    for parts in parts {
        let mut steps = 0;
        let mut count = async || steps += 1;
        let tiled = pollster::block_on(model.decode_within(latent.clone(), all_bytes / parts, &mut count));
        let off = (tiled.expect("the device answers") - at_once.clone()).abs();
        let [largest, mean] = [off.clone().max(), off.mean()].map(|x| f64::from(x.into_scalar::<f32>()));
        let levels = format!("at most {:.3}, on average {:.4} of 255", largest / LEVEL, mean / LEVEL);
        println!("{name}, {width}x{height} in tensors of 1/{parts}, {steps} steps: {levels}");
        assert!(steps > *parts && largest <= LARGEST && mean <= MEAN, "{name}: {levels}");
    }
}
