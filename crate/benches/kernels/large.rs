//! Products and attention of the released models. A software adapter takes minutes for a line of these, so they run only
//! where they are asked for by name.

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::kernels::{End, QuantMatrix, attention, dense_linear, quant_linear};
use flagdit::model::{FlagDitConfig, LatentShape};
use flagdit::quant::{Encoded, Format, encode};
use flagdit::sampler::noise;

use super::case::{Case, Launch, Launches};
use super::models;

/// What their names begin with.
pub const GROUP: &str = "large";
const PRODUCTS: &str = "large linear";
const ATTENTION: &str = "large attention";
/// By the number of their parameters, and as the example that writes their checkpoints calls them.
const MODELS: [(&str, &str); 3] = [("2B", "lumina-next"), ("5B", "lumina-t2i"), ("7B", "imagenet-flag-7b")];
/// With a prompt and without.
const BATCH: usize = 2;
/// Latent pixels along each side of a picture of 1024 × 1024.
const SIDE: usize = 128;
/// Tokens of longer sequences, in the 2B: 2048 × 2048 pixels, and as many as Lumina was trained for at most.
const LONG: usize = 1 << 14;
const LONGEST: usize = 1 << 17;
/// Heads of the longest: all take minutes, and each is as long as any other.
const HEADS_OF_LONGEST: usize = 4;
/// Random numbers of an operand; longer ones repeat them, for no kernel is faster for that.
const DRAWN: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let (mut products, mut attentions) = (Vec::new(), Vec::new());
    for (size, name) in MODELS {
        let config = models::model(name).expect("a released model").denoiser;
        let tokens = config.layout(LatentShape::picture(SIDE, SIDE)).tokens();
        let (dim, kv, hidden) = (config.dim, config.kv_heads() * config.head_dim(), config.ffn_dim());
        let mut matrices = vec![[dim, dim], [dim, kv], [dim, hidden], [hidden, dim]];
        matrices.dedup();
        let formats = [None, Some(Format::Q4B32), Some(Format::Q8B32)];
        products.extend(
            matrices.iter().flat_map(|&matrix| formats.map(|format| product(size, BATCH * tokens, matrix, format))),
        );
        attentions.push(attention_to_tokens(size, &config, BATCH, config.n_heads, tokens));
        if config.n_heads != config.kv_heads() {
            attentions.push(attention_to_tokens(size, &config, BATCH, config.n_heads, LONG));
            attentions.push(attention_to_tokens(size, &config, 1, HEADS_OF_LONGEST, LONGEST));
        }
    }
    products.into_iter().chain(attentions).collect()
}

/// x `[m, k]` by W `[n, k]`; of Burn's only the product in f32.
fn product(size: &str, m: usize, [k, n]: [usize; 2], format: Option<Format>) -> Case {
    let shape = format!("{size}, {m} rows, {k} to {n}, {}", format.map_or("f32", Format::name));
    let prepare = move |device: &Device| {
        let x = repeated(1, [m, k], device);
        let Some(format) = format else {
            let w = repeated(2, [n, k], device);
            let (also_x, also_w) = (x.clone(), w.clone().transpose());
            let burns: Launch = Box::new(move || drop(also_x.clone().matmul(also_w.clone())));
            let ours = move || drop(dense_linear(x.clone(), w.clone(), None, End::Plain));
            return Launches { ours: Box::new(ours), burns: Some(burns) };
        };
        let matrix = QuantMatrix::upload(&codes(n, k, format), n, k, format, device).expect("what was just encoded");
        let ours = move || drop(quant_linear(x.clone(), &matrix, None, End::Plain));
        Launches { ours: Box::new(ours), burns: None }
    };
    let case = Case::new(PRODUCTS, shape, 2.0 * m as f64 * n as f64 * k as f64, prepare).on_gpus();
    if format.is_none() { case } else { case.alone() }
}

/// Some rows, again and again.
fn codes(rows: usize, cols: usize, format: Format) -> Encoded {
    let drawn = (DRAWN / cols).clamp(1, rows);
    let some = encode(&noise::normal(2, 0, drawn * cols), drawn, cols, format).expect("finite weights");
    fn again<T: Copy>(some: &[T], drawn: usize, rows: usize) -> Vec<T> {
        some.iter().copied().cycle().take(some.len() / drawn * rows).collect()
    }
    Encoded { codes: again(&some.codes, drawn, rows), scales: again(&some.scales, drawn, rows), mins: None }
}

/// Burn's holds all scores, gigabytes of them.
fn attention_to_tokens(size: &str, config: &FlagDitConfig, batch: usize, heads: usize, tokens: usize) -> Case {
    let (width, kv_heads) = (config.head_dim(), heads * config.kv_heads() / config.n_heads);
    let shape = format!("{size}, {batch} rows, {heads} heads, {tokens} tokens");
    let prepare = move |device: &Device| {
        let of = |seed, heads| repeated(seed, [batch, heads, tokens, width], device);
        let (q, k, v) = (of(1, heads), of(2, kv_heads), of(3, kv_heads));
        let scale = (width as f64).powf(-0.5);
        let ours = move || drop(attention::attention(q.clone(), k.clone(), v.clone(), scale, None));
        Launches { ours: Box::new(ours), burns: None }
    };
    let flops = 4.0 * (batch * heads * width) as f64 * (tokens as f64).powi(2);
    Case::new(ATTENTION, shape, flops, prepare).on_gpus().alone()
}

fn repeated<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let drawn = noise::normal(seed, 0, count.min(DRAWN));
    Tensor::from_data(TensorData::new(drawn.into_iter().cycle().take(count).collect::<Vec<_>>(), shape), device)
}
