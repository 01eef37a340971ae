//! Every way to make a product, shape by shape, on the first GPU: what `Way::for_shape` should choose there.
//! `cargo bench --bench linear`, with a part of a shape's name for some of them. GFLOP/s, medians.

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::kernels::linear::{Arithmetic, Tile, Way, dense, quantized};
use flagdit::kernels::{End, QuantMatrix};
use flagdit::quant::{Format, encode};
use flagdit::sampler::noise;

#[path = "support/timing.rs"]
mod timing;

use timing::{Launch, medians};

/// Samples of each that are counted.
const SAMPLES: usize = 7;
/// A processor that plays GPU is given no more than this.
const MOST_FLOPS: f64 = 4e9;

/// Rows of x, of W, and their columns, in a batch of two.
const SHAPES: [(&str, [usize; 3]); 10] = [
    ("nano, dim to dim", [144, 192, 192]),
    ("nano, dim to hidden", [144, 512, 192]),
    ("micro, dim to dim", [544, 384, 384]),
    ("micro, dim to hidden", [544, 1024, 384]),
    ("micro, hidden to dim", [544, 384, 1024]),
    ("square of 1024", [1024, 1024, 1024]),
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
    let rows = x.clone();
    line("f32", shape, Way::on(device, false), device, move |way| {
        dense(rows.clone(), w.clone(), None, End::Plain, way)
    });
    for format in [Format::Q4B32, Format::Q8B32] {
        let codes = encode(&values, n, k, format).expect("finite weights");
        let w = QuantMatrix::upload(&codes, n, k, format, device).expect("what was just encoded");
        let rows = x.clone();
        line(format.name(), shape, Way::on(device, true), device, move |way| {
            quantized(rows.clone(), &w, None, End::Plain, way)
        });
    }
}

/// The best way comes first, and how good the chosen one is; then how far other numbers than f32 are off.
fn line(
    weights: &str,
    shape: [usize; 3],
    ways: impl Iterator<Item = Way>,
    device: &Device,
    product: impl Fn(Option<Way>) -> Tensor<2> + Clone + 'static,
) {
    let launch = |way| -> Launch {
        let product = product.clone();
        Box::new(move || drop(product(way)))
    };
    let ways: Vec<Way> = ways.collect();
    let runs: Vec<Launch> = [None].into_iter().chain(ways.iter().copied().map(Some)).map(launch).collect();
    let mut speeds = medians(&runs, SAMPLES, device).into_iter().map(|ms| flops(shape) / ms / 1e6);
    let chosen = speeds.next().expect("one for each");
    let mut ways: Vec<(Way, f64)> = ways.into_iter().zip(speeds).collect();
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
