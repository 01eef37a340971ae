//! How the cost of a denoiser's call grows with its tokens N: as a N + b N², the second for attention's arithmetic alone.
//! `cargo bench --bench scaling`, or `-- cpu|gpu LAYERS TOKENS ..`; one layer will do for the memory of the longest sequences.
//!
//! b is attention's operations at the speed that the kernel alone reaches with the fewest tokens, so whatever else grows faster
//! than tokens shows as time beyond the sum: buffers of N × N numbers, copies, keys that a cache no longer holds. a is fitted.
//! Layers are those of nano, 192 features in heads of 32, in a batch of two, with random weights.

use std::fs;
use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Distribution, Tensor};
use flagdit::Device;
use flagdit::kernels::{attention, run_on};
use flagdit::model::{Caption, FlagDit, FlagDitConfig, LatentShape, PreparedCaption, Sequence, SequenceOptions};
use flagdit::weights::params::Params;
use serde_json::json;

/// The program's, so that calls take what they take there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 2;
const HEADS: usize = 6;
const HEAD: usize = 32;
const CAPTION_TOKENS: usize = 16;
/// Features of a caption's token.
const FEATURES: usize = 64;
const LAYERS: usize = 6;
const TOKENS: [usize; 3] = [1 << 10, 1 << 12, 1 << 14];
/// Calls are counted until there are so many or they took so long, in milliseconds.
const SAMPLES: usize = 7;
const BUDGET_MS: f64 = 10_000.0;
/// A length whose call takes longer has no attention of its own measured, which would take as long again.
const PATIENCE_MS: f64 = 100_000.0;

fn main() {
    // Cargo adds flags of its own.
    let mut words = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let device = pollster::block_on(Device::parse(&words.next().unwrap_or("cpu".into()))).expect("cpu or gpu");
    let numbers: Vec<usize> = words.map(|word| word.parse().expect("LAYERS TOKENS ..: numbers")).collect();
    let layers = numbers.first().copied().unwrap_or(LAYERS);
    let tokens = if numbers.len() > 1 { &numbers[1..] } else { &TOKENS };
    let model = Denoiser::new(&device, layers);
    let rows: Vec<Row> = tokens.iter().map(|&tokens| model.measured(tokens)).collect();
    println!("{}, {layers} layers of {} features, batch {BATCH}", device.name(), HEADS * HEAD);
    report(&rows, layers);
}

/// What was measured of one length.
struct Row {
    tokens: usize,
    /// Of a call.
    ms: f64,
    flops: f64,
    /// Of attention to all tokens, one layer's, if that was measured.
    attention_ms: Option<f64>,
    /// The most beyond what was there before.
    memory: u64,
}

impl Row {
    /// Operations of attention to all tokens in one layer.
    fn attention_flops(&self) -> f64 {
        4.0 * (BATCH * HEADS * HEAD) as f64 * (self.tokens as f64).powi(2)
    }

    /// Operations of attention alone in a millisecond.
    fn attention_speed(&self) -> Option<f64> {
        self.attention_ms.map(|ms| self.attention_flops() / ms)
    }

    /// Milliseconds of attention in all layers, at so many operations a millisecond.
    fn squared(&self, layers: usize, speed: f64) -> f64 {
        layers as f64 * self.attention_flops() / speed
    }
}

fn report(rows: &[Row], layers: usize) {
    let fewest = rows.iter().min_by_key(|row| row.tokens).expect("a length");
    let speed = fewest.attention_speed().expect("a first length that does not take minutes");
    let linear = per_token(rows, layers, speed);
    println!(
        "a call takes {:.2} us a token and {:.3} ns a token squared ({:.0} GFLOP/s)\n",
        linear * 1e3,
        fewest.squared(layers, speed) / (fewest.tokens as f64).powi(2) * 1e6,
        speed / 1e6
    );
    println!("| tokens | a call | GFLOP/s | a N + b N² | off | attention alone | memory | of it a token |");
    println!("|---|---|---|---|---|---|---|---|");
    for row in rows {
        let expected = linear * row.tokens as f64 + row.squared(layers, speed);
        println!(
            "| {} | {:.1} ms | {:.0} | {expected:.1} ms | {:+.1} % | {} | {} MiB | {:.1} KiB |",
            row.tokens,
            row.ms,
            row.flops / row.ms / 1e6,
            (row.ms / expected - 1.0) * 100.0,
            row.attention_speed().map_or("–".into(), |speed| format!("{:.0} GFLOP/s", speed / 1e6)),
            row.memory >> 20,
            row.memory as f64 / 1024.0 / row.tokens as f64
        );
    }
}

/// Milliseconds a token that leave the least squares of relative errors.
fn per_token(rows: &[Row], layers: usize, speed: f64) -> f64 {
    let terms = rows.iter().map(|row| (row.tokens as f64 / row.ms, row.squared(layers, speed) / row.ms));
    let (above, below) = terms.fold((0.0, 0.0), |(above, below), (linear, squared)| {
        (above + linear * (1.0 - squared), below + linear * linear)
    });
    above / below
}

struct Denoiser<'a> {
    device: &'a Device,
    model: FlagDit,
    caption: PreparedCaption,
}

impl<'a> Denoiser<'a> {
    fn new(device: &'a Device, layers: usize) -> Self {
        let config: FlagDitConfig = serde_json::from_value(json!({
            "patch_size": 2, "in_channels": 4, "dim": HEADS * HEAD, "n_layers": layers, "n_heads": HEADS,
            "multiple_of": 64, "norm_eps": 1e-5, "learn_sigma": true, "qk_norm": true, "cap_feat_dim": FEATURES
        }))
        .expect("a configuration");
        device.burn().seed(7);
        let model = FlagDit::new(&config, &Params::random(device.burn())).expect("nano");
        let model = model.map(&mut Fill { by_columns: !run_on(device.burn()) });
        let caption = Caption {
            features: random([BATCH, CAPTION_TOKENS, FEATURES], device),
            mask: Tensor::ones([BATCH, CAPTION_TOKENS], device.burn()),
        };
        Self { device, caption: model.prepare(&caption), model }
    }

    fn measured(&self, tokens: usize) -> Row {
        let shape = shape(tokens);
        let sequence = self.model.sequence(shape, SequenceOptions::default(), self.device.burn());
        assert_eq!(self.model.config().layout(shape).tokens(), tokens, "TOKENS: expected a power of two");
        let LatentShape::Frames { height, width, .. } = shape else { unreachable!("a picture") };
        let x = random([BATCH, 4, height, width], self.device);
        let held = self.memory_held();
        let ms = median(|| self.call(&x, &sequence));
        let memory = self.most_memory() - held;
        let flops = self.model.config().flops(BATCH, tokens, CAPTION_TOKENS);
        let attention_ms = (ms < PATIENCE_MS).then(|| self.attention_ms(tokens, sequence.scale));
        Row { tokens, ms, flops, attention_ms, memory }
    }

    fn call(&self, x: &Tensor<4>, sequence: &Sequence) {
        let time = Tensor::full([BATCH], 0.35, self.device.burn());
        let velocity = self.model.forward_prepared(x.clone(), time, &self.caption, sequence);
        // A network that answers nonsense may be fast.
        let largest: f32 = velocity.abs().max().into_scalar();
        assert!(largest.is_finite() && largest > 0.0, "a velocity of {largest}");
    }

    fn attention_ms(&self, tokens: usize, scale: f64) -> f64 {
        let [q, k, v] = [(); 3].map(|()| random([BATCH, HEADS, tokens, HEAD], self.device));
        median(|| {
            attention(q.clone(), k.clone(), v.clone(), scale, None);
            self.device.burn().sync().expect("a device that answers");
        })
    }

    /// Bytes now, from which on the most are noted: of the process, or of the GPU's pools, which only grow.
    fn memory_held(&self) -> u64 {
        if run_on(self.device.burn()) {
            return self.most_memory();
        }
        // Linux forgets the peak; elsewhere nothing is told at all.
        let _ = fs::write("/proc/self/clear_refs", "5");
        of_process("VmRSS:")
    }

    fn most_memory(&self) -> u64 {
        match self.device.burn().memory_pool_usage() {
            Some(usage) if run_on(self.device.burn()) => usage.bytes_reserved,
            _ => of_process("VmHWM:"),
        }
    }
}

/// A picture with so many tokens, a power of two: each row of patches ends with one that is none.
fn shape(tokens: usize) -> LatentShape {
    let in_row = 1 << tokens.ilog2().div_ceil(2);
    LatentShape::picture(2 * (tokens / in_row), 2 * (in_row - 1))
}

/// Weights that do something, as they lie when a model was loaded: many of a new model are zero.
struct Fill {
    by_columns: bool,
}

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|x| {
            let (mut shape, device) = (x.dims(), x.device());
            if D == 1 {
                return x + Tensor::random(shape, Distribution::Normal(0.0, 0.2), &device);
            }
            let spread = Distribution::Normal(0.0, (shape[D - 1] as f64).powf(-0.5));
            if !self.by_columns {
                return Tensor::random(shape, spread, &device);
            }
            shape.swap(D - 2, D - 1);
            Tensor::random(shape, spread, &device).swap_dims(D - 2, D - 1) // [out, in]
        })
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device.burn())
}

/// Milliseconds. What runs first compiles and fills caches, and counts only where it takes longer than that may.
fn median(work: impl Fn()) -> f64 {
    let timed = || {
        let start = Instant::now();
        work();
        milliseconds(start)
    };
    let first = timed();
    if first > BUDGET_MS {
        return first;
    }
    let (start, mut times) = (Instant::now(), vec![timed()]);
    while times.len() < SAMPLES && milliseconds(start) < BUDGET_MS {
        times.push(timed());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// A line of what Linux tells of this process, in bytes; 0 elsewhere.
fn of_process(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() << 10
}
