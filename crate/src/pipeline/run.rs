//! One run of the sampler: what all its evaluations share, and the velocity that they make.

use std::{cell::Cell, rc::Rc};

use burn::tensor::{Tensor, TensorData};

use super::Pipeline;
use crate::{
    error::{Error, Result},
    modality::frames,
    model::{Condition, FlagDit, LatentShape, PreparedCaption, Sequence, SequenceOptions, TimeAware},
    plan::{Blueprint, Plan},
    progress::Settings,
    sampler::{
        guidance::{Guidance, GuidedChannels},
        noise,
        schedule::{diffusers_grid, time_grid},
    },
    weights::manifest::{Extrapolation, RopeExtrapolation, Sampling, Schedule},
};

/// What one run of the sampler needs.
pub(super) struct Run {
    denoiser: Rc<FlagDit>,
    sequence: Sequence,
    /// Of the prompts, and of the negative prompt where guidance needs it; or of the class, and of none. Of so many rows each
    /// as are evaluated at once.
    captions: Vec<PreparedCaption>,
    /// Rows of the batch.
    rows: usize,
    guidance: Guidance,
    /// How much each prompt counts, `[prompts, 1, F·h, 1]`, where there are several.
    weights: Option<Tensor<4>>,
    /// Which frames the evaluations of each prompt see, where there are several.
    seen: Vec<Vec<usize>>,
    /// Frames of a video whose end leads back to its beginning.
    circle: Option<Circle>,
}

/// A video without a seam: every evaluation sees the frames in a circle from another one on, so that each pair of
/// neighbours, the last and the first too, is mostly seen side by side.
struct Circle {
    frames: usize,
    evaluations: Cell<usize>,
}

impl Circle {
    /// Where the next evaluation begins. Steps of the golden ratio visit all frames evenly, whatever their number.
    fn next(&self) -> usize {
        const GOLDEN: f64 = 0.618_033_988_749_895;
        let turn = self.evaluations.get();
        self.evaluations.set(turn + 1);
        ((turn as f64 * GOLDEN).fract() * self.frames as f64) as usize
    }
}

impl Run {
    /// The velocity of every row of x `[rows, C, F·h, w]` at t, of its shape.
    fn evaluate(&self, x: Tensor<4>, t: f64) -> Tensor<4> {
        let sequence = self.sequence.at(t);
        let mut first = 0;
        let group = |caption: &PreparedCaption| {
            let rows = caption.pooled.dims()[0];
            let x = if rows == self.rows { x.clone() } else { x.clone().narrow(0, first, rows) };
            first += rows;
            let time = Tensor::full([rows], t as f32, &x.device());
            self.denoiser.forward_prepared(x, time, caption, &sequence)
        };
        let mut groups: Vec<_> = self.captions.iter().map(group).collect();
        if groups.len() == 1 { groups.remove(0) } else { Tensor::cat(groups, 0) } // [rows, C, F·h, w]
    }
}

impl Pipeline {
    /// The noise of this seed, `[1, C, F·h, w]`; of sound `[1, 1, bands, T]`. It is drawn frame by frame, so a longer
    /// video or sound begins with the noise of a shorter one.
    pub(super) fn noise(&self, shape: LatentShape, seed: u64) -> Tensor<4> {
        let config = &self.blueprint.denoiser;
        let device = self.device.burn();
        let draw = |shape: [usize; 4]| {
            let values = noise::normal(seed, 0, shape.iter().product());
            Tensor::<4>::from_data(TensorData::new(values, shape), device)
        };
        match shape {
            LatentShape::Frames { frames, height, width } => {
                let channels = config.in_channels;
                let x = draw([frames, channels, height, width]).swap_dims(0, 1);
                x.reshape([1, channels, frames * height, width]) // [1, C, F·h, w]
            }
            LatentShape::Spectrogram { frames } => {
                let bands = config.audio.map_or(1, |audio| audio.bands);
                draw([1, 1, frames, bands]).swap_dims(2, 3)
            }
        }
    }

    /// Noise that was given.
    pub(super) fn given_noise(&self, shape: LatentShape, values: Vec<f32>) -> Result<Tensor<4>> {
        let config = &self.blueprint.denoiser;
        let shape = match shape {
            LatentShape::Frames { frames, height, width } => [1, config.in_channels, frames * height, width],
            LatentShape::Spectrogram { frames } => [1, 1, config.audio.map_or(1, |audio| audio.bands), frames],
        };
        if values.len() != shape.iter().product::<usize>() {
            return Err(Error::bad_request("noise")
                .expected(format!("{} values for {shape:?}", shape.iter().product::<usize>()))
                .found(values.len().to_string()));
        }
        Ok(Tensor::from_data(TensorData::new(values, shape), self.device.burn()))
    }

    /// What the evaluations of this run share. `condition` has the rows of [`Self::encode`].
    pub(super) async fn run(
        &self,
        settings: &Settings,
        shape: LatentShape,
        condition: Condition,
        plan: &Plan,
    ) -> Result<Run> {
        let denoiser = self.denoiser(plan).await?;
        let guidance = self.guidance(settings);
        // The last row says what to lead away from.
        let rows = condition.rows() - usize::from(!guidance.needs_unconditional());
        let group = |first: usize| condition.select(first..rows.min(first + plan.batch)).prepare(&denoiser);
        let weights = match settings.transitions.as_slice() {
            [] => Vec::new(),
            transitions => frames::prompt_weights(transitions, Blueprint::frames(settings))?,
        };
        let most_tokens = (plan.span < plan.tokens).then_some(plan.span);
        let extrapolation = self.extrapolation(settings, shape);
        let options = SequenceOptions { is_circle: settings.is_loop, most_tokens, ..extrapolation };
        Ok(Run {
            sequence: denoiser.sequence(shape, options, self.device.burn()),
            rows,
            captions: (0..rows).step_by(plan.batch).map(group).collect(),
            denoiser,
            guidance,
            weights: self.weights(&weights, shape),
            seen: frames::seen(&weights),
            circle: settings.is_loop.then(|| Circle { frames: Blueprint::frames(settings), evaluations: Cell::new(0) }),
        })
    }

    /// The times of the solver's steps.
    pub(super) fn grid(&self, settings: &Settings) -> Vec<f64> {
        let sampling = self.manifest().sampling.get(settings.kind.name());
        match sampling.map(|sampling| sampling.schedule).unwrap_or_default() {
            Schedule::Uniform => time_grid(settings.steps, settings.time_shift),
            Schedule::Diffusers => diffusers_grid(settings.steps, settings.time_shift),
        }
    }

    /// Beyond the sequences it was trained on, RoPE's base grows with the number of tokens and attention is scaled in
    /// proportion (`model.md` §1.4); Lumina's own models have rules of their own.
    fn extrapolation(&self, settings: &Settings, shape: LatentShape) -> SequenceOptions {
        let sizes = self.manifest().sizes.get(settings.kind.name());
        if let Some((sizes, extrapolation)) = sizes.and_then(|sizes| Some((sizes, sizes.extrapolation?))) {
            let native: f64 = sizes.native.iter().map(|&side| f64::from(side)).product();
            return luminas(extrapolation, (settings.width * settings.height) as f64 / native);
        }
        let tokens = self.blueprint.denoiser.layout(shape).tokens();
        match sizes.and_then(|sizes| sizes.trained_tokens).map(|trained| trained as usize) {
            Some(trained) if tokens > trained => SequenceOptions {
                ntk_factor: Some(self.blueprint.denoiser.ntk_factor * tokens as f64 / trained as f64),
                base_tokens: Some(trained),
                ..SequenceOptions::default()
            },
            _ => SequenceOptions::default(),
        }
    }

    /// [`frames::prompt_weights`] for every value of a frame's row.
    fn weights(&self, weights: &[Vec<f32>], shape: LatentShape) -> Option<Tensor<4>> {
        let (LatentShape::Frames { frames, height, .. }, Some(first)) = (shape, weights.first()) else { return None };
        let of_prompt =
            |prompt: usize| weights.iter().flat_map(move |frame| std::iter::repeat_n(frame[prompt], height));
        let values: Vec<f32> = (0..first.len()).flat_map(of_prompt).collect();
        let shape = [first.len(), 1, frames * height, 1];
        Some(Tensor::from_data(TensorData::new(values, shape), self.device.burn()))
    }

    pub(super) fn guidance(&self, settings: &Settings) -> Guidance {
        let channels = self.manifest().sampling.get(settings.kind.name()).and_then(guided_channels);
        let channels = channels.map_or(GuidedChannels::All, GuidedChannels::First);
        Guidance { scale: settings.guidance, channels }
    }

    /// The guided velocity at x `[1, C, F·h, w]`: one evaluation of a batch.
    pub(super) fn velocity(&self, x: Tensor<4>, t: f64, run: &Run) -> Tensor<4> {
        let weights = run.weights.clone();
        match &run.circle {
            None => self.guided(x, t, run, weights, 0),
            Some(circle) => {
                let shift = circle.next();
                let roll = |x, shift| frames::roll(x, circle.frames, shift);
                let v = self.guided(roll(x, shift), t, run, weights.map(|weights| roll(weights, shift)), shift);
                roll(v, circle.frames - shift)
            }
        }
    }

    /// `shift`: by how many frames x is rolled.
    fn guided(&self, x: Tensor<4>, t: f64, run: &Run, weights: Option<Tensor<4>>, shift: usize) -> Tensor<4> {
        let x = match run.seen.as_slice() {
            [] => x.repeat_dim(0, run.rows),
            seen => {
                let mut rows: Vec<_> = seen.iter().map(|seen| frames::gather(&x, seen, shift)).collect();
                rows.resize(run.rows, x); // What to lead away from is seen whole.
                Tensor::cat(rows, 0)
            }
        }; // [rows, C, F·h, w]
        let v = run.evaluate(x, t); // [rows, C, F·h, w]
        let prompts = weights.as_ref().map_or(1, |weights| weights.dims()[0]);
        let conditional = v.clone().narrow(0, 0, prompts);
        let conditional = match weights {
            Some(weights) => (conditional * weights).sum_dim(0), // [1, C, F·h, w]
            None => conditional,
        };
        if run.rows == prompts {
            return conditional;
        }
        run.guidance.combine(conditional, v.narrow(0, prompts, 1))
    }
}

/// Lumina's rules for a picture of `area` times the native one.
fn luminas(extrapolation: Extrapolation, area: f64) -> SequenceOptions {
    let Extrapolation { base_tokens, rope, below_native } = extrapolation;
    let area = if below_native { area } else { area.max(1.0) };
    let options = SequenceOptions { base_tokens: Some(base_tokens as usize), ..SequenceOptions::default() };
    match rope {
        RopeExtrapolation::Ntk => SequenceOptions { ntk_factor: Some(area), ..options },
        RopeExtrapolation::TimeAware { watershed } => {
            SequenceOptions { time_aware: Some(TimeAware { scale: area.sqrt(), watershed }), ..options }
        }
    }
}

fn guided_channels(sampling: &Sampling) -> Option<usize> {
    sampling.guided_channels.map(|channels| channels as usize)
}
