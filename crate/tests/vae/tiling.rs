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
/// Latents are about 1 in deviation, and a hundredth of that is less than what any of them decides.
const LATENT: f64 = 1e-2;
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
    let name = format!("random weights on {}", target.name);
    compare(&name, &model, latent, parts);
}

#[test]
fn tiles_of_the_shipped_autoencoder_on_the_cpu() {
    let device = support::cpu().device;
    let model = shipped();
    let scene = scene(256, 384, &device);
    compare("the shipped autoencoder", &model, model.encode(scene.clone()), &[4, 12]);
    compare_encoded("the shipped autoencoder", &model, scene, &[1.4, 1.8]);
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
        let mut told = Told::default();
        let mut hear = async |done: usize, of: usize| told.hear(done, of);
        let tiled = pollster::block_on(model.decode_within(latent.clone(), all_bytes / parts, &mut hear));
        let [largest, mean] = off(tiled.expect("the device answers"), at_once.clone());
        let levels = format!("at most {:.3}, on average {:.4} of 255", largest / LEVEL, mean / LEVEL);
        println!("{name}, {width}x{height} in tensors of 1/{parts}, told {told:?}: {levels}");
        assert!(told.times > *parts && largest <= LARGEST && mean <= MEAN, "{name}: {levels}");
    }
}

/// Encodes likewise; the scaled latent is about 1 in deviation. A tile has nine pixels of the latent around it, so the tensors
/// of such small pictures can be little smaller.
fn compare_encoded(name: &str, model: &AutoencoderKl, picture: Tensor<4>, parts: &[f64]) {
    let at_once = model.encode(picture.clone());
    let [_, _, height, width] = picture.dims();
    let all_bytes = model.encoder.conv_in.bias.val().dims()[0] * height * width * size_of::<f32>();
    for parts in parts {
        let mut told = Told::default();
        let mut hear = async |done: usize, of: usize| told.hear(done, of);
        let tiled =
            pollster::block_on(model.encode_within(picture.clone(), (all_bytes as f64 / parts) as usize, &mut hear));
        let [largest, mean] = off(tiled.expect("the device answers"), at_once.clone());
        println!(
            "{name}, {width}x{height} in tensors of 1/{parts}, told {told:?}: {largest:.1e}, on average {mean:.1e}"
        );
        assert!(told.times > 2 && largest <= LATENT, "{name}: {largest:.1e}");
    }
}

/// The largest and the mean difference.
fn off(found: Tensor<4>, expected: Tensor<4>) -> [f64; 2] {
    assert_eq!(found.dims(), expected.dims());
    let off = (found - expected).abs();
    [off.clone().max(), off.mean()].map(|x| f64::from(x.into_scalar::<f32>()))
}

/// What was told of how far it is: never less than before, and of equally much.
#[derive(Debug, Default)]
struct Told {
    times: usize,
    done: usize,
    of: usize,
}

impl Told {
    fn hear(&mut self, done: usize, of: usize) {
        assert!(done >= self.done && done < of && (self.times == 0 || of == self.of), "{done} of {of} after {self:?}");
        *self = Self { times: self.times + 1, done, of };
    }
}
