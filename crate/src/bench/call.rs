//! One call of the denoiser, which is what a step of other runtimes is: noise, a time and features of words in, a velocity
//! out. Random numbers will do, and the model need hold nothing but its denoiser.

use std::rc::Rc;

use burn::tensor::{Int, Tensor, TensorData};
use serde::Deserialize;
use web_time::Instant;

use super::{Progress, Times, milliseconds, report::Batch, report::Report};
use crate::{
    device::Device,
    error::{Error, Result},
    kernels,
    modality::image,
    model::{Caption, FlagDit, LatentShape, PreparedCaption, Sequence, SequenceOptions},
    parts,
    progress::{Settings, pause},
    request::Kind,
    sampler::noise,
    weights::{ByteSource, Reader, manifest::Sizes},
};

/// Rows of the batch: with a prompt and without.
const BATCH: usize = 2;
/// Tokens of a sentence.
const CAPTION_TOKENS: usize = 16;
/// More than any batch of prompts, and than any text encoder reads.
const MOST: usize = 4096;
/// Pixels along a side at most, and tokens: twice the longest sequence that anybody trained. A call draws nothing, so that the
/// model was made for smaller pictures does not matter.
const MOST_PIXELS: u32 = 1 << 16;
const MOST_TOKENS: usize = 1 << 18;
/// A time in the midst; the cost does not depend on it.
const TIME: f32 = 0.35;

/// A call of the denoiser, for a picture of any size, also one that is larger than what the model makes. What is absent comes
/// from the model's manifest, or is what is usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// Pixels across of the picture; the model's native width if absent.
    pub width: Option<usize>,
    /// Pixels down.
    pub height: Option<usize>,
    /// Rows of the batch, 2 if absent.
    pub batch: Option<usize>,
    /// Tokens of the caption, 16 if absent.
    pub caption_tokens: Option<usize>,
}

impl Call {
    /// Rows and caption tokens.
    fn counts(&self) -> Result<[usize; 2]> {
        let count = |name: &str, count: Option<usize>, usual| match count.unwrap_or(usual) {
            count if (1..=MOST).contains(&count) => Ok(count),
            count => Err(Error::bad_request(name).expected(format!("1 to {MOST}")).found(count.to_string())),
        };
        Ok([count("batch", self.batch, BATCH)?, count("caption tokens", self.caption_tokens, CAPTION_TOKENS)?])
    }
}

pub(super) async fn measure(
    source: impl ByteSource + 'static,
    device: Device,
    call: &Call,
    has_kernels: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report> {
    let [rows, caption_tokens] = call.counts()?;
    let start = Instant::now();
    let reader = Reader::open(Rc::new(source)).await?;
    let (settings, shape) = extent(call, &reader)?;
    kernels::check(device.burn()).await?;
    let model = parts::denoiser(&reader, &device, &mut |_| {}).await?;
    let load = milliseconds(start);
    let denoiser = Denoiser::new(&device, model, shape, rows, caption_tokens);

    progress(Progress::WarmUp);
    let mut times = Times { load, first: denoiser.timed().await?, counted: Vec::new() };
    if times.first < super::PATIENCE_MS {
        denoiser.timed().await?;
    }
    let start = Instant::now();
    while times.wants_more(start) {
        progress(Progress::Steps { done: times.counted.len(), least: super::LEAST });
        pause().await;
        times.counted.push(denoiser.timed().await?);
    }

    let config = denoiser.model.config();
    let tokens = config.layout(shape).tokens();
    let batch = Batch { rows, tokens, caption_tokens, flops: config.flops(rows, tokens, caption_tokens) };
    let report = Report::new("denoiser", &reader, &device, &settings, &batch, &times);
    let kernels = match has_kernels {
        true => kernels::timed(&device, denoiser.timed()).await?,
        false => Vec::new(),
    };
    Ok(Report { kernels, ..report })
}

/// The picture that the call is about, and its latent. The manifest of a denoiser alone says how many pixels a patch stands
/// for, though not what makes them.
fn extent(call: &Call, reader: &Reader) -> Result<(Settings, LatentShape)> {
    let manifest = reader.manifest();
    let sizes = manifest.sizes.get(Kind::Image.name()).ok_or_else(|| {
        Error::bad_request("the denoiser").expected("a model that makes pictures").found(manifest.modalities.join(", "))
    })?;
    let any = Sizes { max: vec![MOST_PIXELS; 2], ..sizes.clone() };
    let (width, height) = image::size(&any, call.width, call.height)?;
    let config = parts::denoiser_config(manifest)?;
    let latent = |side: usize| side / sizes.multiple as usize * config.patch_size;
    let shape = LatentShape::picture(latent(height), latent(width));
    match config.layout(shape).tokens() {
        tokens if tokens > MOST_TOKENS => {
            Err(Error::bad_request("size").expected(format!("at most {MOST_TOKENS} tokens")).found(tokens.to_string()))
        }
        _ => Ok((Settings { width, height, ..Settings::default() }, shape)),
    }
}

/// A denoiser with all that a call is given, on the CPU, and what all calls share, on the device.
struct Denoiser<'a> {
    device: &'a Device,
    model: FlagDit,
    sequence: Sequence,
    rows: usize,
    /// `[B, C, H, W]`
    x: TensorData,
    /// `[B, T, C]`
    features: TensorData,
    /// `[B, T]`, no padding.
    mask: TensorData,
}

impl<'a> Denoiser<'a> {
    fn new(device: &'a Device, model: FlagDit, shape: LatentShape, rows: usize, caption_tokens: usize) -> Self {
        let config = model.config();
        let random =
            |stream, shape: &[usize]| TensorData::new(noise::normal(0, stream, shape.iter().product()), shape.to_vec());
        let [height, width] = match shape {
            LatentShape::Frames { frames, height, width } => [frames * height, width],
            LatentShape::Spectrogram { frames } => [1, frames],
        };
        Self {
            device,
            sequence: model.sequence(shape, SequenceOptions::default(), device.burn()),
            rows,
            x: random(0, &[rows, config.in_channels, height, width]),
            features: random(1, &[rows, caption_tokens, config.cap_feat_dim]),
            mask: TensorData::new(vec![1f32; rows * caption_tokens], [rows, caption_tokens]),
            model,
        }
    }

    /// One call, in milliseconds.
    async fn timed(&self) -> Result<f64> {
        let start = Instant::now();
        let device = self.device.burn();
        let x = Tensor::<4>::from_data(self.x.clone(), device);
        let time = Tensor::full([self.rows], TIME, device);
        let velocity = self.model.forward_prepared(x, time, &self.condition(), &self.sequence);
        let values = velocity.into_data_async().await.map_err(|error| Error::device_lost("the velocity", error))?;
        // A network that answers nonsense may be fast. Natively a GPU is waited for only where the numbers are looked at, so
        // that belongs to the time.
        let is_finite = values.iter::<f32>().all(f32::is_finite);
        let elapsed = milliseconds(start);
        match is_finite {
            true => Ok(elapsed),
            false => Err(Error::bad_model("the velocity").expected("finite numbers").found("infinite ones or NaN")),
        }
    }

    fn condition(&self) -> PreparedCaption {
        let device = self.device.burn();
        if self.model.y_embedder.is_some() {
            return self.model.prepare_labels(Tensor::<1, Int>::zeros([self.rows], device));
        }
        let features = Tensor::from_data(self.features.clone(), device);
        self.model.prepare(&Caption { features, mask: Tensor::from_data(self.mask.clone(), device) })
    }
}
