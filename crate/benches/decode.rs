//! What decoding costs with the autoencoder of SDXL and random weights: `cargo bench --bench decode -- SIDE MIB`, a picture
//! of SIDE × SIDE pixels, no tensor above MIB MiB (`all`: at once). One figure a process, since memory is the most it held.

use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, Tensor};
use flagdit::decode::vae::{AutoencoderKl, VaeConfig};
use flagdit::weights::params::Params;

fn main() {
    let numbers: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let side: usize = numbers.first().map_or(512, |side| side.parse().expect("SIDE: pixels"));
    let limit = numbers.get(1).map_or("128", String::as_str);
    let most_bytes =
        if limit == "all" { usize::MAX } else { limit.parse::<usize>().expect("MIB: a number or `all`") << 20 };
    let device = Device::flex();
    device.seed(7);
    let model = AutoencoderKl::new(&sdxl(), &Params::random(&device)).expect("SDXL's autoencoder").map(&mut Fill);
    let latent = Tensor::random([1, 4, side / 8, side / 8], Distribution::Normal(0.0, 1.0), &device);
    let before = peak_mib();
    let start = Instant::now();
    let mut steps = 0;
    let picture = pollster::block_on(model.decode_within(latent, most_bytes, &mut async |_, _| steps += 1))
        .expect("the CPU answers");
    let mean: f32 = picture.abs().mean().into_scalar();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{side}x{side}, {limit} MiB: {seconds:.1} s, {steps} steps, {} MiB at most, {before} before; |pixel| {mean:.2}",
        peak_mib()
    );
}

fn sdxl() -> VaeConfig {
    VaeConfig {
        in_channels: 3,
        out_channels: 3,
        latent_channels: 4,
        block_out_channels: vec![128, 256, 512, 512],
        layers_per_block: 2,
        norm_num_groups: 32,
        mid_block_add_attention: true,
        scaling_factor: 0.13025,
        shift_factor: None,
    }
}

/// Residual branches that do something: they would start at zero.
struct Fill;

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|x| {
            let shape = x.dims();
            let fan_in = shape.iter().skip(1).product::<usize>() as f64;
            let noise = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &x.device());
            if D == 1 { x + noise * 0.2 } else { noise / fan_in.sqrt() }
        })
    }
}

/// The most memory that this process held at once, where the system tells.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() >> 10
}
