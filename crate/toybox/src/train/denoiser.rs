//! Stage two: text encoder and Flag-DiT together, by flow matching (`model.md` §5).

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use burn::{
    module::Module,
    tensor::{Device, Distribution, Tensor, TensorData},
};
use flagdit::{
    model::{Caption, FlagDit, LatentShape, Prediction, Sequence, SequenceOptions},
    request::Kind,
    text::language_model::LanguageModel,
    weights::params::Params,
};

use super::{
    captions::Captions,
    checkpoint::{self, Counters},
    latents::{self, LatentBatch},
    optimizer::Optimizer,
    parallel::{gradients, split},
    progress::{Limit, Progress},
    recipe::{Bucket, Recipe},
};
use crate::{tokenizer::CaptionTokenizer, world::Rng};

/// The weight of the data's error grows with 1/(1 − t)² up to the time at which so much of the path is left.
const LEAST_REST: f64 = 0.5;

/// How many batches of clips are not told how much is over, so that loops can be made without.
const CIRCLES: f32 = 0.1;

/// What is trained together.
#[derive(Module, Debug)]
pub struct TextToLatent {
    /// Caption to features.
    pub text: LanguageModel,
    /// Features and noise to latent.
    pub denoiser: FlagDit,
}

impl TextToLatent {
    /// As the recipe has it, with as many embeddings as the tokenizer has ids.
    pub fn new(recipe: &Recipe, vocabulary: usize, params: &Params) -> Result<Self> {
        let text = flagdit::text::language_model::LanguageModelConfig { vocab_size: vocabulary, ..recipe.text.clone() };
        Ok(Self {
            text: LanguageModel::new(&text, &params.child("text"))?,
            denoiser: FlagDit::new(&recipe.denoiser, &params.child("denoiser"))?,
        })
    }
}

/// Trains until the recipe's pictures are seen or its `limit` is reached; resumes from `folder`.
pub fn train(recipe: &Recipe, folder: &Path, device: &Device, limit: Limit) -> Result<()> {
    let path = folder.join("denoiser.safetensors");
    let tokenizer = Arc::new(CaptionTokenizer::load_or_train(&folder.join("tokenizer.json"), recipe)?);
    let (params, mut optimizer, counters) = if path.exists() {
        checkpoint::load(&path, device)?
    } else {
        device.seed(recipe.seed);
        (Params::random(device), Optimizer::default(), Counters::default())
    };
    let mut model = TextToLatent::new(recipe, tokenizer.vocabulary(), &params)?;
    let mut batches = latents::stream(recipe, folder, device, counters, tokenizer.clone())?;
    device.seed(recipe.seed ^ counters.pictures);
    let mut rng = Rng::stream(recipe.seed, "times", counters.pictures);
    let stage = &recipe.flow;
    let sequence = |bucket: &Bucket, is_circle| {
        let options = SequenceOptions { is_circle, ..SequenceOptions::default() };
        model.denoiser.sequence(shape(recipe, bucket), options, device)
    };
    let sequences: Vec<[Sequence; 2]> =
        stage.buckets.iter().map(|bucket| [false, true].map(|is_circle| sequence(bucket, is_circle))).collect();
    let mut progress = Progress::new("denoiser", folder.to_owned(), counters, limit)?;
    while progress.goes_on(stage) {
        let batch = batches()?;
        let is_circle = rng.chance(CIRCLES);
        let (sequence, kind) = (&sequences[batch.bucket][usize::from(is_circle)], stage.buckets[batch.bucket].kind);
        let parts = parts(batch, &tokenizer, recipe, device, &mut rng)?;
        let (loss, gradients) = gradients(&model, device, parts, |model, part| loss(model, part, sequence));
        let options = progress.options(stage, recipe.ema);
        model = optimizer.step(model, gradients, options);
        if progress.step(stage.batch, kind.name(), loss, options.rate)? {
            checkpoint::save(&path, &model, &optimizer, progress.counters)?;
        }
    }
    progress.end()?;
    checkpoint::save(&path, &model, &optimizer, progress.counters)
}

/// A bucket's extent in the denoiser's space.
fn shape(recipe: &Recipe, bucket: &Bucket) -> LatentShape {
    let [width, height] = bucket.size.map(|side| side as usize);
    let factor = recipe.vae.factor();
    match bucket.kind {
        Kind::Audio => LatentShape::Spectrogram { frames: width },
        _ => LatentShape::Frames { frames: bucket.frames, height: height / factor, width: width / factor },
    }
}

/// A core's part of a batch.
pub(super) struct Part {
    pub(super) captions: Captions,
    pub(super) data: Tensor<4>,
    pub(super) noise: Tensor<4>,
    pub(super) t: Tensor<1>,
}

fn parts(
    batch: LatentBatch,
    tokenizer: &CaptionTokenizer,
    recipe: &Recipe,
    device: &Device,
    rng: &mut Rng,
) -> Result<Vec<(f64, Part)>> {
    let data: Tensor<4> = Tensor::from_inner(batch.latents);
    let count = data.dims()[0];
    // A dropped caption still says what kind of thing to make.
    let kind = recipe.flow.buckets[batch.bucket].kind;
    let prefix = tokenizer.encode(recipe.prefix(kind))?;
    let mut kept = |ids| if rng.chance(recipe.caption_dropout) { prefix.clone() } else { ids };
    let rows: Vec<Vec<u32>> = batch.captions.into_iter().map(&mut kept).collect();
    let captions = Captions::new(&rows, tokenizer.pad(), device);
    let noise = Tensor::random(data.dims(), Distribution::Normal(0.0, 1.0), device);
    let distribution = recipe.modalities.get(&kind).context("a kind that is none of the recipe's modalities")?.times;
    let times: Vec<f32> = (0..count).map(|_| distribution.draw(rng)).collect();
    let t: Tensor<1> = Tensor::from_data(TensorData::new(times, [count]), device);
    let part = |(start, length, share)| {
        let part = Part {
            captions: captions.part(start, length),
            data: data.clone().narrow(0, start, length),
            noise: noise.clone().narrow(0, start, length),
            t: t.clone().narrow(0, start, length),
        };
        (share, part)
    };
    Ok(split(count, device).into_iter().map(part).collect())
}

/// Mean squared error of the velocity at x_t = t·data + (1 − t)·noise.
///
/// Where the network predicts data, the velocity's error is the data's over 1 − t: it is counted as if no less than
/// [`LEAST_REST`] were left, or the last details of a sample would outweigh everything else.
pub(super) fn loss(model: &TextToLatent, part: Part, sequence: &Sequence) -> Tensor<1> {
    let Captions { tokens, ids, mask } = part.captions;
    let table = model.text.table().select(0, tokens); // [U, C]
    let caption = Caption { features: model.text.forward_from(table, ids), mask };
    let count = part.data.dims()[0];
    let weight = part.t.clone().reshape([count, 1, 1, 1]); // [B, 1, 1, 1]
    let rest = weight.clone() * -1.0 + 1.0;
    let x = part.data.clone() * weight + part.noise.clone() * rest.clone();
    let error = model.denoiser.forward(x, part.t, &caption, sequence) - (part.data - part.noise);
    let error = match model.denoiser.predicts(sequence) {
        Prediction::Velocity => error,
        Prediction::Data => error * (rest / LEAST_REST).clamp_max(1.0),
    };
    (error.clone() * error).mean()
}
