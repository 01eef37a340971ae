//! Upstream's `forward_with_cfg`, and its sampling through it.

use burn::tensor::Tensor;
use serde::Deserialize;

use super::{
    Comparing,
    denoiser::{condition, latent},
};
use crate::{
    error::{Error, Result},
    model::{FlagDit, LatentShape, PreparedCaption, Sequence, SequenceOptions, TimeAware},
    sampler::{Guidance, GuidedChannels, Solver, SolverKind, Tolerance, schedule::time_grid},
};

/// Channels that upstream guides, the official code and diffusers alike.
pub(super) const GUIDED: usize = 3;
/// Upstream never asked for more; a grid is allocated.
const MOST_POINTS: usize = 1001;

/// Upstream's arguments for other areas than the trained one.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Extrapolated {
    rope_scaling_factor: Option<f64>,
    ntk_factor: Option<f64>,
    scale_factor: Option<f64>,
    scale_watershed: Option<f64>,
    #[serde(default)]
    proportional_attn: bool,
    base_seqlen: Option<usize>,
}

impl Extrapolated {
    pub fn sequence(&self) -> SequenceOptions {
        let watershed = self.scale_watershed.unwrap_or(1.0);
        SequenceOptions {
            time_aware: self.scale_factor.map(|scale| TimeAware { scale, watershed }),
            ntk_factor: self.ntk_factor,
            rope_scaling_factor: self.rope_scaling_factor,
            base_tokens: self.base_seqlen.filter(|_| self.proportional_attn),
            is_circle: false,
            most_tokens: None,
        }
    }
}

#[derive(Deserialize)]
struct Arguments {
    cfg_scale: f64,
    #[serde(flatten)]
    extrapolated: Extrapolated,
}

/// One of `cfg_calls`.
#[derive(Deserialize)]
pub(super) struct CfgCall {
    inputs: String,
    t: f64,
    kwargs: Arguments,
}

impl CfgCall {
    pub fn compare(&self, comparing: &Comparing, model: &FlagDit, name: &str) -> Result<()> {
        let guided = Guided::read(comparing, model, &self.inputs, &self.kwargs)?;
        comparing.compare(name, guided.velocity(guided.x.clone(), self.t))
    }
}

/// One of `sample_calls`.
#[derive(Deserialize)]
pub(super) struct SampleCall {
    inputs: String,
    solver: String,
    num_sampling_steps: usize,
    time_shifting_factor: f64,
    kwargs: Arguments,
}

impl SampleCall {
    pub async fn compare(&self, comparing: &Comparing<'_>, model: &FlagDit, name: &str) -> Result<()> {
        let Self { num_sampling_steps: points, time_shifting_factor: shift, .. } = *self;
        if !((2..=MOST_POINTS).contains(&points) && shift.is_finite() && shift > 0.0) {
            return Err(Error::bad_model(format!("{}: {name}", comparing.reference().name()))
                .expected(format!("2 to {MOST_POINTS} points and a shift above 0"))
                .found(format!("{points} and {shift}")));
        }
        let kind: SolverKind = self.solver.parse()?;
        let guided = Guided::read(comparing, model, &self.inputs, &self.kwargs)?;
        comparing.compare(name, guided.sample(kind, time_grid(points - 1, shift)).await?)
    }
}

/// A batch whose first half is conditional, the second unconditional.
struct Guided<'a> {
    model: &'a FlagDit,
    x: Tensor<4>,
    caption: PreparedCaption,
    sequence: Sequence,
    guidance: Guidance,
}

impl<'a> Guided<'a> {
    fn read(comparing: &Comparing, model: &'a FlagDit, inputs: &str, arguments: &Arguments) -> Result<Self> {
        let name = format!("{inputs}_x");
        let x = latent(comparing, model, &name)?;
        let [rows, _, height, width] = x.dims();
        if !rows.is_multiple_of(2) {
            return Err(comparing.refusal(&name).expected("an even number of rows").found(rows.to_string()));
        }
        let options = arguments.extrapolated.sequence();
        Ok(Self {
            model,
            caption: condition(comparing, model, &format!("{inputs}_"), rows)?.prepare(model),
            sequence: model.sequence(LatentShape::picture(height, width), options, comparing.device()),
            guidance: Guidance { scale: arguments.cfg_scale, channels: GuidedChannels::First(GUIDED) },
            // Upstream uses the first half only.
            x: Tensor::cat(vec![x.narrow(0, 0, rows / 2); 2], 0),
        })
    }

    /// Both halves get the guided channels, and keep the others as they were predicted for them.
    fn velocity(&self, x: Tensor<4>, t: f64) -> Tensor<4> {
        let [rows, channels, ..] = x.dims();
        let (half, guided) = (rows / 2, GUIDED.min(channels));
        let x = Tensor::cat(vec![x.narrow(0, 0, half); 2], 0);
        let times = Tensor::full([rows], t, &x.device());
        let out = self.model.forward_prepared(x, times, &self.caption, &self.sequence.at(t));
        let [conditional, unconditional] = [out.clone().narrow(0, 0, half), out.narrow(0, half, half)];
        let first = self.guidance.combine(conditional, unconditional.clone());
        let second = if guided < channels {
            let plain = unconditional.narrow(1, guided, channels - guided);
            Tensor::cat(vec![first.clone().narrow(1, 0, guided), plain], 1)
        } else {
            first.clone()
        };
        Tensor::cat(vec![first, second], 0)
    }

    /// The conditional rows at every point of the grid, `[points, prompts, C, H, W]`. The solver carries both halves, for
    /// upstream's step controller looks at both.
    async fn sample(&self, kind: SolverKind, grid: Vec<f64>) -> Result<Tensor<5>> {
        let mut solver = Solver::new(kind, grid, Tolerance::default(), self.x.clone())?;
        let mut velocity = async |x: Tensor<4>, t: f64| Ok(self.velocity(x, t));
        let prompts = self.x.dims()[0] / 2;
        let conditional = |x: &Tensor<4>| x.clone().narrow(0, 0, prompts).unsqueeze_dim::<5>(0); // [1, prompts, C, H, W]
        let mut states = vec![conditional(solver.x())];
        while solver.done() < solver.intervals() {
            let state = solver.step(&mut velocity).await?;
            states.push(conditional(&state));
        }
        Ok(Tensor::cat(states, 0))
    }
}
