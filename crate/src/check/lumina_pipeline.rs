//! A whole `LuminaPipeline` of diffusers, network by network: each is given what the reference stored of the one before it,
//! so that a difference shows where it arises.
//!
//! `config.json` has the arguments of every run under `runs`; behind its name and `_` stand
//!
//! | stored | compared with |
//! |---|---|
//! | `input_ids`, `attention_mask`, `negative_input_ids`, `negative_attention_mask` | what the tokenizer makes of the prompts |
//! | `prompt_embeds`, `negative_prompt_embeds` | the text encoder's features |
//! | `sigmas`, `timesteps`, `model_t` | the time grid |
//! | `transformer_out_0`, `latents_1`, … | the denoiser and Euler's steps, from `latents_0` on |
//! | `decoded`, `image_u8` | the autoencoder, from the last latent |

use burn::tensor::{Tensor, TensorData};
use serde::Deserialize;

use super::{
    Comparing,
    guided::GUIDED,
    text::{Batch, Side},
};
use crate::{
    decode::vae::AutoencoderKl,
    error::{Error, Result},
    model::{Caption, FlagDit, LatentShape, SequenceOptions, TimeAware},
    sampler::{Guidance, GuidedChannels, Solver, SolverKind, Tolerance, schedule::diffusers_grid},
    text::{language_model::LanguageModel, tokenizer::Tokenizer},
    weights::{Reader, manifest::Manifest},
};

/// Upstream's schedulers have as many times.
const MOST_STEPS: usize = 1000;
/// Prompts are padded to multiples of this.
const PADDED: usize = 8;
/// The scheduler counts time in thousandths.
const TRAIN_STEPS: f64 = 1000.0;

/// The arguments of a run; what is absent is diffusers' default.
#[derive(Deserialize)]
struct Run {
    prompt: Vec<String>,
    negative_prompt: Option<Vec<String>>,
    height: usize,
    width: usize,
    num_inference_steps: usize,
    guidance_scale: f64,
    #[serde(default = "one")]
    scaling_watershed: f64,
    #[serde(default = "yes")]
    proportional_attn: bool,
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

impl Run {
    fn is_guided(&self) -> bool {
        self.guidance_scale > 1.0
    }
}

/// The runs of the reference, by what stands before their tensors' names.
fn runs(comparing: &Comparing) -> Result<Vec<(String, Run)>> {
    let runs = comparing.reference().calls::<Run>("runs")?;
    Ok(runs.into_iter().map(|(name, run)| (format!("{name}_"), run)).collect())
}

/// Prompts to ids, ids to features.
///
/// # Errors
///
/// `bad-model` if the reference is of another model; so for the others.
pub async fn text(
    comparing: &Comparing<'_>,
    model: &LanguageModel,
    reader: &Reader,
    tokenizer: &Tokenizer,
) -> Result<()> {
    for (prefix, run) in runs(comparing)? {
        let ids = |prompt: &String| Ok(tokenizer.encode(prompt)?.ids);
        let prompts = run.prompt.iter().map(ids).collect::<Result<Vec<_>>>()?;
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let columns = longest.next_multiple_of(PADDED);
        let compare = async |prefix: &str, rows: &[Vec<u32>]| {
            let batch = Batch::padded(rows, columns, Side::Right);
            batch.compare_ids(comparing, prefix, tokenizer.rules().pad)?;
            let (table, ids) = batch.embeddings(model, Some(reader), comparing.device()).await?;
            batch.compare(comparing, &format!("{prefix}prompt_embeds"), model.forward_from(table, ids))
        };
        compare(&prefix, &prompts).await?;
        if run.is_guided() {
            let negative = run.negative_prompt.clone().unwrap_or_else(|| vec![String::new(); prompts.len()]);
            let ids = |prompt: &String| Ok(tokenizer.encode_negative(prompt, longest)?.ids);
            let negative = negative.iter().map(ids).collect::<Result<Vec<_>>>()?;
            compare(&format!("{prefix}negative_"), &negative).await?;
        }
    }
    Ok(())
}

/// Noise to latents, as the stored features have it.
///
/// # Errors
///
/// As [`text`].
pub async fn denoiser(comparing: &Comparing<'_>, model: &FlagDit, manifest: &Manifest) -> Result<()> {
    for (prefix, run) in runs(comparing)? {
        let shift = manifest.sampling.get("image").map_or(1.0, |sampling| sampling.time_shift);
        if !(1..=MOST_STEPS).contains(&run.num_inference_steps) {
            return Err(Error::bad_model(format!("{}: run {prefix}", comparing.reference().name()))
                .expected(format!("1 to {MOST_STEPS} steps"))
                .found(run.num_inference_steps.to_string()));
        }
        let grid = diffusers_grid(run.num_inference_steps, shift);
        let times = |of: fn(f64) -> f64, count: usize| {
            let values: Vec<f32> = grid[..count].iter().map(|&t| of(t) as f32).collect();
            Tensor::<1>::from_data(TensorData::new(values, [count]), comparing.device())
        };
        comparing.compare(&format!("{prefix}sigmas"), times(|t| 1.0 - t, grid.len()))?;
        comparing.compare(&format!("{prefix}timesteps"), times(|t| (1.0 - t) * TRAIN_STEPS, grid.len() - 1))?;
        comparing.compare(&format!("{prefix}model_t"), times(|t| t, grid.len() - 1))?;
        sample(comparing, model, manifest, &prefix, &run, grid).await?;
    }
    Ok(())
}

async fn sample(
    comparing: &Comparing<'_>,
    model: &FlagDit,
    manifest: &Manifest,
    prefix: &str,
    run: &Run,
    grid: Vec<f64>,
) -> Result<()> {
    let caption = caption(comparing, model, prefix, run)?;
    let rows = caption.mask.dims()[0];
    let prepared = model.prepare(&caption);
    let start = super::denoiser::latent(comparing, model, &format!("{prefix}latents_0"))?;
    let [prompts, _, height, width] = start.dims();
    if prompts != run.prompt.len() {
        let name = format!("{prefix}latents_0");
        return Err(comparing.refusal(&name).expected(format!("{} rows", run.prompt.len())).found(prompts.to_string()));
    }
    let sequence = model.sequence(LatentShape::picture(height, width), options(manifest, run), comparing.device());
    let batch = |x: Tensor<4>| Tensor::cat(vec![x; rows / prompts], 0);
    let at = |t: f64| Tensor::<1>::full([rows], t, comparing.device());
    let out = model.output(batch(start.clone()), at(grid[0]), &prepared, &sequence.at(grid[0]));
    comparing.compare(&format!("{prefix}transformer_out_0"), out)?;

    let guidance = Guidance { scale: run.guidance_scale, channels: GuidedChannels::First(GUIDED) };
    let mut solver = Solver::new(SolverKind::Euler, grid, Tolerance::default(), start)?;
    let mut velocity = async |x: Tensor<4>, t: f64| {
        let v = model.forward_prepared(batch(x), at(t), &prepared, &sequence.at(t));
        let conditional = v.clone().narrow(0, 0, prompts);
        Ok(if rows == prompts { conditional } else { guidance.combine(conditional, v.narrow(0, prompts, prompts)) })
    };
    for step in 1..=solver.intervals() {
        let x = solver.step(&mut velocity).await?;
        comparing.compare(&format!("{prefix}latents_{step}"), x)?;
    }
    Ok(())
}

/// The stored features of the prompts, and of the negative prompts where the run is guided.
fn caption(comparing: &Comparing, model: &FlagDit, prefix: &str, run: &Run) -> Result<Caption> {
    let width = model.config().cap_feat_dim;
    let read = |prefix: &str| {
        let sides = [Some(run.prompt.len()), None, Some(width)];
        let features = comparing.input::<3>(&format!("{prefix}prompt_embeds"), sides)?;
        let tokens = features.dims()[1];
        let mask = comparing.input::<2>(&format!("{prefix}attention_mask"), [Some(run.prompt.len()), Some(tokens)])?;
        Ok::<_, Error>((features, mask))
    };
    let (features, mask) = read(prefix)?;
    if !run.is_guided() {
        return Ok(Caption { features, mask });
    }
    let (negative, its_mask) = read(&format!("{prefix}negative_"))?;
    if negative.dims() != features.dims() {
        let name = format!("{prefix}negative_prompt_embeds");
        return Err(comparing.refusal(&name).expected("the prompts' shape").found(format!("{:?}", negative.dims())));
    }
    Ok(Caption { features: Tensor::cat(vec![features, negative], 0), mask: Tensor::cat(vec![mask, its_mask], 0) })
}

/// `LuminaPipeline` scales positions by √(area / native area) at every area.
fn options(manifest: &Manifest, run: &Run) -> SequenceOptions {
    let sizes = manifest.sizes.get("image");
    let native: f64 = sizes.map_or(1.0, |sizes| sizes.native.iter().map(|&side| f64::from(side)).product());
    let scale = ((run.width * run.height) as f64 / native).sqrt();
    let base = sizes.and_then(|sizes| sizes.extrapolation).map(|extrapolation| extrapolation.base_tokens as usize);
    SequenceOptions {
        time_aware: Some(TimeAware { scale, watershed: run.scaling_watershed }),
        base_tokens: base.filter(|_| run.proportional_attn),
        ..SequenceOptions::default()
    }
}

/// The last latents to pictures.
///
/// # Errors
///
/// As [`text`].
pub fn autoencoder(comparing: &Comparing, model: &AutoencoderKl) -> Result<()> {
    for (prefix, run) in runs(comparing)? {
        let name = format!("{prefix}latents_{}", run.num_inference_steps);
        let latents = comparing.input::<4>(&name, [None, Some(model.latent_channels()), None, None])?;
        let decoded = model.decode(latents);
        comparing.compare(&format!("{prefix}decoded"), decoded.clone())?;
        let unit = (decoded / 2.0 + 0.5).clamp(0.0, 1.0);
        comparing.compare(&format!("{prefix}image_u8"), (unit * 255.0).round().permute([0, 2, 3, 1]))?;
    }
    Ok(())
}
