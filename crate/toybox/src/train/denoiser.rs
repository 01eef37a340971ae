//! Stage two: text encoder and Flag-DiT together, by flow matching (`model.md` §5).

use std::{
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
};

use anyhow::{Context, Result, ensure};
use burn::{
    module::Module,
    tensor::{Device, Distribution, Int, Tensor, TensorData},
};
use flagdit::{
    model::{Caption, FlagDit, LatentShape, Prediction, Sequence, SequenceOptions},
    request::Kind,
    text::language_model::{LanguageModel, batch_ids},
    weights::params::Params,
};

use super::{
    autoencoder, batches,
    checkpoint::{self, Counters},
    latents::{LatentBatch, Latents},
    optimizer::Optimizer,
    parallel::{gradients, split},
    progress::Progress,
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

/// Trains until the recipe's pictures are seen or `minutes` are over; resumes from `folder`.
pub fn train(recipe: &Recipe, folder: &Path, device: &Device, minutes: f64) -> Result<()> {
    let path = folder.join("denoiser.safetensors");
    let tokenizer = CaptionTokenizer::load_or_train(&folder.join("tokenizer.json"), recipe)?;
    let (params, mut optimizer, counters) = if path.exists() {
        checkpoint::load(&path, device)?
    } else {
        device.seed(recipe.seed);
        (Params::random(device), Optimizer::default(), Counters::default())
    };
    let mut model = TextToLatent::new(recipe, tokenizer.vocabulary(), &params)?;
    let latents = latents(recipe, folder, device, counters)?;
    device.seed(recipe.seed ^ counters.pictures);
    let mut rng = Rng::stream(recipe.seed, "times", counters.pictures);
    let stage = &recipe.flow;
    let sequence = |bucket: &Bucket, is_circle| {
        let options = SequenceOptions { is_circle, ..SequenceOptions::default() };
        model.denoiser.sequence(shape(recipe, bucket), options, device)
    };
    let sequences: Vec<[Sequence; 2]> =
        stage.buckets.iter().map(|bucket| [false, true].map(|is_circle| sequence(bucket, is_circle))).collect();
    let mut progress = Progress::new("denoiser", folder.to_owned(), counters, minutes)?;
    while progress.goes_on(stage) {
        let batch = latents.recv()?;
        let is_circle = rng.chance(CIRCLES);
        let (sequence, kind) = (&sequences[batch.bucket][usize::from(is_circle)], stage.buckets[batch.bucket].kind);
        let parts = parts(batch, &tokenizer, recipe, &mut rng)?;
        let (loss, gradients) = gradients(&model, device, parts, |model, part| loss(model, part, sequence));
        let options = stage.step(progress.counters.pictures, recipe.ema);
        ensure!(loss.is_finite(), "the denoiser's loss is {loss}: lower its learning rate, and resume");
        model = optimizer.step(model, gradients, options);
        if progress.step(stage.batch, kind.name(), loss, options.rate)? {
            checkpoint::save(&path, &model, &optimizer, progress.counters)?;
        }
    }
    checkpoint::save(&path, &model, &optimizer, progress.counters)?;
    progress.draw()
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

/// Encoded batches, made ahead: encoding is too small a work to fill every core by itself.
fn latents(recipe: &Recipe, folder: &Path, device: &Device, counters: Counters) -> Result<Receiver<LatentBatch>> {
    let plain = device.clone().without_autodiff();
    let (vae, _) = autoencoder::trained(recipe, folder, &plain)?;
    let batches = batches::stream(recipe, &recipe.flow, counters.pictures, recipe.fresh);
    let rng = Rng::stream(recipe.seed, "latents", counters.pictures);
    let mut latents = Latents::new(vae, plain, batches, recipe.flow.buckets.clone(), recipe.fresh, rng);
    let (sender, receiver) = sync_channel(1);
    let device = device.clone();
    std::thread::spawn(move || {
        while let Ok(batch) = latents.next(&device) {
            if sender.send(batch).is_err() {
                return; // the training is over
            }
        }
    });
    Ok(receiver)
}

/// A core's part of a batch.
struct Part {
    ids: Tensor<2, Int>,
    mask: Tensor<2>,
    data: Tensor<4>,
    noise: Tensor<4>,
    t: Tensor<1>,
}

fn parts(batch: LatentBatch, tokenizer: &CaptionTokenizer, recipe: &Recipe, rng: &mut Rng) -> Result<Vec<(f64, Part)>> {
    let data = batch.latents;
    let (count, device) = (data.dims()[0], data.device());
    // A dropped caption still says what kind of thing to make.
    let kind = recipe.flow.buckets[batch.bucket].kind;
    let prefix = recipe.prefix(kind);
    let mut encode = |caption: &String| {
        let dropped = rng.chance(recipe.caption_dropout);
        tokenizer.encode(if dropped { prefix } else { caption })
    };
    let rows = batch.captions.iter().map(&mut encode).collect::<Result<Vec<_>>>()?;
    let (ids, mask) = batch_ids(&rows, tokenizer.pad(), &device);
    let noise = Tensor::random(data.dims(), Distribution::Normal(0.0, 1.0), &device);
    let distribution = recipe.modalities.get(&kind).context("a kind that is none of the recipe's modalities")?.times;
    let times: Vec<f32> = (0..count).map(|_| distribution.draw(rng)).collect();
    let t: Tensor<1> = Tensor::from_data(TensorData::new(times, [count]), &device);
    let part = |(start, length, share)| {
        let part = Part {
            ids: ids.clone().narrow(0, start, length),
            mask: mask.clone().narrow(0, start, length),
            data: data.clone().narrow(0, start, length),
            noise: noise.clone().narrow(0, start, length),
            t: t.clone().narrow(0, start, length),
        };
        (share, part)
    };
    Ok(split(count, &device).into_iter().map(part).collect())
}

/// Mean squared error of the velocity at x_t = t·data + (1 − t)·noise.
///
/// Where the network predicts data, the velocity's error is the data's over 1 − t: it is counted as if no less than
/// [`LEAST_REST`] were left, or the last details of a sample would outweigh everything else.
fn loss(model: &TextToLatent, part: Part, sequence: &Sequence) -> Tensor<1> {
    let caption = Caption { features: model.text.forward(part.ids), mask: part.mask };
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
