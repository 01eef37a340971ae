//! Every way to make a product, shape by shape, on the first GPU: what `Way::for_shape` should choose there.
//! `cargo bench --bench linear`, with a part of a shape's name for some of them. GFLOP/s, medians.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::kernels::linear::{Arithmetic, Tile, Way, dense, quantized};
use flagdit::kernels::{End, QuantMatrix};
use flagdit::quant::{Format, encode};
use flagdit::sampler::noise;

/// Samples of each that are counted, after one that is not.
const SAMPLES: usize = 7;
/// A sample launches as often as fills this time, so that what surrounds a launch does not count.
const LEAST: Duration = Duration::from_millis(20);
/// A processor that plays GPU is given no more than this.
const MOST_FLOPS: f64 = 4e9;

/// Rows of x, of W, and their columns, in a batch of two.
const SHAPES: [(&str, [usize; 3]); 9] = [
    ("nano, dim to dim", [144, 192, 192]),
    ("nano, dim to hidden", [144, 512, 192]),
    ("micro, dim to dim", [544, 384, 384]),
    ("micro, dim to hidden", [544, 1024, 384]),
    ("micro, hidden to dim", [544, 384, 1024]),
    ("2B at 256, dim to dim", [544, 2304, 2304]),
    ("2B at 1024, dim to dim", [8320, 2304, 2304]),
    ("2B at 1024, dim to hidden", [8320, 6144, 2304]),
    ("square of 4096", [4096, 4096, 4096]),
];

fn main() {
    // Cargo adds flags of its own.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let gpu = pollster::block_on(flagdit::Device::gpu(None)).expect("a GPU, a software adapter at least");
    println!("{}", gpu.name());
    for (name, shape) in SHAPES {
        let is_too_much = gpu.is_software() && flops(shape) > MOST_FLOPS;
        if name.contains(&wanted) && !is_too_much {
            report(name, shape, gpu.burn());
        }
    }
}

fn flops([m, n, k]: [usize; 3]) -> f64 {
    2.0 * m as f64 * n as f64 * k as f64
}

fn report(name: &str, shape: [usize; 3], device: &Device) {
    let [m, n, k] = shape;
    println!("\n{name}: {m} x {k} by {n} x {k}");
    let x = Tensor::<2>::from_data(TensorData::new(noise::normal(1, 0, m * k), [m, k]), device);
    let values = noise::normal(2, 0, n * k);
    let w = Tensor::<2>::from_data(TensorData::new(values.clone(), [n, k]), device);
    line("f32", shape, Way::all(false), device, |way| dense(x.clone(), w.clone(), None, End::Plain, way));
    for format in [Format::Q4B32, Format::Q8B32] {
        let codes = encode(&values, n, k, format).expect("finite weights");
        let w = QuantMatrix::upload(&codes, n, k, format, device).expect("what was just encoded");
        line(format.name(), shape, Way::all(true), device, |way| quantized(x.clone(), &w, None, End::Plain, way));
    }
}

/// The best way comes first, and how good the chosen one is; then how far other numbers than f32 are off.
fn line(
    weights: &str,
    shape: [usize; 3],
    ways: impl Iterator<Item = Way>,
    device: &Device,
    product: impl Fn(Option<Way>) -> Tensor<2>,
) {
    let speed = |way| flops(shape) / seconds(&|| drop(product(way)), device) / 1e9;
    let chosen = speed(None);
    let mut ways: Vec<(Way, f64)> = ways.map(|way| (way, speed(Some(way)))).collect();
    ways.sort_by(|one, other| other.1.total_cmp(&one.1));
    let name = |Way { tile, arithmetic }: Way| format!("{tile:?} {arithmetic:?}");
    let names: Vec<String> = ways.iter().map(|&(way, speed)| format!("{} {speed:.0}", name(way))).collect();
    println!("  {weights}: {chosen:.0} as chosen; {}", names.join(", "));
    for arithmetic in [Arithmetic::Half, Arithmetic::Int8] {
        let of = |arithmetic| product(Some(Way { tile: Tile::Square, arithmetic }));
        if ways.iter().any(|(way, _)| way.arithmetic == arithmetic) {
            let (found, exact) = (of(arithmetic), of(Arithmetic::Full));
            let norm = |x: Tensor<2>| x.square().sum().sqrt().into_scalar::<f32>();
            println!("    {arithmetic:?} is off by {:.1e}", norm(found - exact.clone()) / norm(exact));
        }
    }
}

/// Of one launch: the median of samples of many.
fn seconds(run: &dyn Fn(), device: &Device) -> f64 {
    let once = sample(run, 1, device).min(sample(run, 1, device));
    let launches = (LEAST.as_secs_f64() / once).ceil().max(1.0) as usize;
    let mut samples: Vec<f64> = (0..SAMPLES).map(|_| sample(run, launches, device)).collect();
    samples.sort_by(f64::total_cmp);
    samples[SAMPLES / 2]
}

/// Seconds a launch, until the device has nothing left to do.
fn sample(run: &dyn Fn(), launches: usize, device: &Device) -> f64 {
    let start = Instant::now();
    (0..launches).for_each(|_| run());
    device.sync().expect("a device that answers");
    start.elapsed().as_secs_f64() / launches as f64
}
