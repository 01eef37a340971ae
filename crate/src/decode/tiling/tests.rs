//! Networks of several shapes with random weights, none of them zero.

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Device, TensorData},
};

use super::{window::Side, *};
use crate::{
    decode::vae::{AutoencoderKl, VaeConfig},
    sampler::noise::normal,
    weights::params::Params,
};

/// f32 sums in another order; pixels are about −1 … 1.
const SAME_PIXELS: f64 = 1e-4;
/// The same, of statistics.
const SAME_STATISTICS: f64 = 1e-4;

/// Fills every parameter with numbers of its own.
struct Fill(u64);

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        param.map(|x| {
            let shape = x.dims();
            let noise = random(self.0, shape);
            // Vectors stay near what they start as, the norms' weights near 1.
            if D == 1 {
                x + noise * 0.2
            } else {
                noise * (shape[0] as f64 / shape.iter().product::<usize>() as f64).sqrt()
            }
        })
    }
}

fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(normal(seed, 0, shape.iter().product()), shape), &Device::flex())
}

fn config(block_out_channels: &[usize], layers_per_block: usize) -> VaeConfig {
    VaeConfig {
        in_channels: 3,
        out_channels: 3,
        latent_channels: 4,
        block_out_channels: block_out_channels.to_vec(),
        layers_per_block,
        norm_num_groups: 2,
        mid_block_add_attention: true,
        scaling_factor: 1.0,
        shift_factor: None,
    }
}

fn autoencoder(block_out_channels: &[usize], layers_per_block: usize) -> AutoencoderKl {
    let config = config(block_out_channels, layers_per_block);
    let model =
        AutoencoderKl::new(&config, &Params::random(&Device::flex())).expect("a configuration that is possible");
    model.map(&mut Fill(0))
}

fn largest_difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let difference = (a - b).abs().into_data();
    // NaN must win, which f64::max does not let it.
    difference.iter::<f64>().fold(0.0, |most, x| if x > most || x.is_nan() { x } else { most })
}

/// One tile that is the whole latent.
fn whole(height: usize, width: usize) -> Tile {
    Tile { top: 0, left: 0, window: Window::whole(height, width) }
}

/// By the statistics of the whole picture, tiles of any size are the picture that is decoded at once, and measure the
/// statistics that they were given.
#[test]
fn tiles_are_parts_of_the_picture() {
    for (widths, layers, [height, width]) in
        [(&[4, 6, 8][..], 1, [13, 22]), (&[4, 4, 6, 8], 2, [17, 9]), (&[4, 8], 3, [20, 19]), (&[6], 1, [11, 8])]
    {
        let decoder = autoencoder(widths, layers).decoder;
        let latent = random(7, [1, 4, height, width]);
        let at_once = decoder.forward(latent.clone());
        let tail = Tail::new(&decoder);
        for side in [3, 5, 8] {
            let tiles = window::tiles(height, width, side, tail.margin());
            let sample = vec![whole(height, width)];
            let tiling = Tiling { part: &tail, x: decoder.head(latent.clone()), tiles, sample };
            let (_, taken) = tiling.sampled(None);
            let (picture, measured) =
                pollster::block_on(tiling.pass(&taken, &mut async || {})).expect("the CPU answers");
            let pixels = largest_difference(picture, at_once.clone());
            assert!(pixels <= SAME_PIXELS, "{widths:?}, tiles of {side}: {pixels:.1e}");
            let off = pollster::block_on(distance(&taken, &measured)).expect("the CPU answers");
            assert!(off <= SAME_STATISTICS, "{widths:?}, tiles of {side}: {off:.1e}");
        }
    }
}

/// The same of the latent that is encoded at once.
#[test]
fn tiles_are_parts_of_the_latent() {
    for (widths, layers, [height, width]) in
        [(&[4, 6, 8][..], 1, [13, 22]), (&[4, 4, 6, 8], 2, [11, 23]), (&[4, 8], 3, [20, 19]), (&[6], 1, [11, 8])]
    {
        let encoder = autoencoder(widths, layers).encoder;
        let stem = Stem::new(&encoder);
        let picture = random(9, [1, 3, stem.scale() * height, stem.scale() * width]);
        let at_once = encoder.forward(picture.clone());
        for side in [3, 8] {
            let tiles = window::tiles(height, width, side, stem.margin());
            let tiling = Tiling { part: &stem, x: picture.clone(), tiles, sample: vec![whole(height, width)] };
            let (_, taken) = tiling.sampled(None);
            let (features, measured) =
                pollster::block_on(tiling.pass(&taken, &mut async || {})).expect("the CPU answers");
            let values = largest_difference(encoder.head(features), at_once.clone());
            assert!(values <= SAME_PIXELS, "{widths:?}, tiles of {side}: {values:.1e}");
            let off = pollster::block_on(distance(&taken, &measured)).expect("the CPU answers");
            assert!(off <= SAME_STATISTICS, "{widths:?}, tiles of {side}: {off:.1e}");
        }
    }
}

/// What is no number spreads as far as pixels look: it must not reach a tile that lies a margin away from it, and would
/// reach one that lies nearer.
#[test]
fn margins_are_as_wide_as_pixels_look() {
    for (widths, layers) in [(&[4, 6, 8][..], 1), (&[4, 4, 6, 8], 2), (&[4, 8], 3), (&[6], 1)] {
        let decoder = autoencoder(widths, layers).decoder;
        let tail = Tail::new(&decoder);
        let (length, margin, factor) = (3 * tail.margin(), tail.margin(), 1 << (widths.len() - 1));
        let features = random(3, [1, widths[widths.len() - 1], 1, length]);
        let hole = Tensor::full([1, features.dims()[1], 1, 1], f32::NAN, &Device::flex());
        let features = Tensor::cat(vec![hole, features.narrow(3, 1, length - 1)], 3);
        let fixed = Moments { mean: random(4, [1, 2]), variance: random::<2>(5, [1, 2]).square() };
        let mut norm = |norm: &GroupNorm, x: Tensor<4>, _: Window| norm.forward_by(x, &fixed);
        let pixels = tail.forward(features, Window::whole(1, length), &mut norm);
        let row: Vec<f32> = pixels.narrow(1, 0, 1).narrow(2, 0, 1).into_data().iter().collect();
        let reach = row.iter().position(|x| x.is_finite()).expect("it does not reach everything");
        assert!((factor * margin + 1..=factor * (margin + 1)).contains(&reach), "{widths:?}: {margin}, {reach}");
    }
    assert_eq!(Tail::new(&autoencoder(&[4, 4, 6, 8], 2).decoder).extent.margins, [7, 6, 4, 1]);
}

/// The same of the encoder, whose pixels look farther behind them than before.
#[test]
fn the_encoders_margin_is_as_wide_as_a_latent_looks() {
    for (widths, layers) in [(&[4, 6, 8][..], 1), (&[4, 4, 6, 8], 2), (&[4, 8], 3), (&[6], 1)] {
        let encoder = autoencoder(widths, layers).encoder;
        let stem = Stem::new(&encoder);
        let (scale, margin) = (stem.scale(), stem.margin());
        let length = 3 * margin;
        let picture = random(3, [1, 3, scale, scale * (length - 1)]);
        let hole = Tensor::full([1, 3, scale, scale], f32::NAN, &Device::flex());
        let fixed = Moments { mean: random(4, [1, 2]), variance: random::<2>(5, [1, 2]).square() };
        let mut norm = |norm: &GroupNorm, x: Tensor<4>, _: Window| norm.forward_by(x, &fixed);
        let features = stem.forward(Tensor::cat(vec![picture, hole], 3), Window::whole(1, length), &mut norm);
        let row: Vec<f32> = features.narrow(1, 0, 1).narrow(2, 0, 1).into_data().iter().collect();
        let reach = row.iter().rev().position(|x| x.is_finite()).expect("it does not reach everything");
        assert_eq!(reach, margin + 1, "{widths:?}");
    }
    // SDXL's: 68 pixels of the picture.
    assert_eq!(Stem::new(&autoencoder(&[4, 4, 6, 8], 2).encoder).margin(), 9);
}

/// The tensors that are counted are those that there are.
#[test]
fn the_largest_tensor_is_foreseen() {
    let decoder = autoencoder(&[4, 6, 8, 8], 2).decoder;
    let tail = Tail::new(&decoder);
    let side = Side { before: 7, core: 5, after: 7 };
    let window = Window { rows: side, columns: side };
    let mut largest = 0;
    let mut norm = |norm: &GroupNorm, x: Tensor<4>, _: Window| {
        largest = largest.max(x.dims().iter().product::<usize>() * size_of::<f32>());
        norm.forward(x)
    };
    tail.forward(random(1, [1, 8, 19, 19]), window, &mut norm);
    assert_eq!(tail.extent.bytes(window), largest);
}

#[test]
fn the_encoders_largest_tensor_is_foreseen() {
    for widths in [&[4, 6, 8, 8][..], &[8, 4], &[2, 4, 40]] {
        let encoder = autoencoder(widths, 2).encoder;
        let stem = Stem::new(&encoder);
        let mut largest = 0;
        let mut norm = |norm: &GroupNorm, x: Tensor<4>, _: Window| {
            largest = largest.max(x.dims().iter().product::<usize>() * size_of::<f32>());
            norm.forward(x)
        };
        let picture = random(1, [1, 3, 3 * stem.scale(), 5 * stem.scale()]);
        stem.forward(picture, Window::whole(3, 5), &mut norm);
        assert_eq!(stem.bytes(Window::whole(3, 5)), largest, "{widths:?}");
    }
}

/// From a configuration alone it is what it is from the network.
#[test]
fn a_configuration_knows_its_largest_tensor() {
    // The lowest resolution is brought up once: where it is much wider than the others, that is the largest.
    for widths in [&[4, 6, 8, 8][..], &[8, 4], &[4, 4, 40], &[6]] {
        let config = config(widths, 2);
        let tail = autoencoder(widths, 2);
        let expected = Tail::new(&tail.decoder).extent.bytes(Window::whole(5, 3));
        assert_eq!(config.largest(5 * config.factor(), 3 * config.factor()), expected as u64, "{widths:?}");
    }
}
