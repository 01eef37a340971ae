//! The model: latent, time and caption to velocity.

use burn::{
    module::{Module, Param},
    tensor::{Int, Tensor},
};

use super::{
    Caption, FlagDitConfig, LatentShape, Patch, Prediction, PreparedCaption, Sequence, SequenceOptions, TokenLayout,
    attention::CaptionKeys,
    block::Block,
    embedders::{CaptionEmbedder, LabelEmbedder, PhaseEmbedder, TimestepEmbedder},
    final_layer::FinalLayer,
    patches::{patchify, unpatchify},
};
use crate::{
    error::Result,
    nn::{attention::mask_bias, linear::Linear, rope::Rope},
    weights::params::{Init, Params},
};

/// Data is divided by 1 − t, but by no less than this, to become velocity (arXiv 2511.13720, appendix A).
const LEAST_REST: f64 = 0.05;

/// Where a modality that is not made of pictures enters and leaves the blocks.
#[derive(Module, Debug)]
pub struct Ends {
    /// A patch to a token.
    pub x_embedder: Linear,
    /// Tokens to velocity.
    pub final_layer: FinalLayer,
}

impl Ends {
    fn new(config: &FlagDitConfig, patch: Patch, params: &Params) -> Self {
        Self {
            x_embedder: Linear::new(patch.values(), config.dim, Init::Xavier, &params.child("x_embedder")),
            final_layer: FinalLayer::new(config, patch, &params.child("final_layer")),
        }
    }
}

/// Flag-DiT (Lumina-T2I; arXiv 2405.05945), or as its [`Variant`](super::Variant) has it Next-DiT (Lumina-Next; arXiv
/// 2406.18583); with captions or with labels.
#[derive(Module, Debug)]
pub struct FlagDit {
    /// A patch to a token.
    pub x_embedder: Linear,
    /// t to the conditioning vector.
    pub t_embedder: TimestepEmbedder,
    /// The caption's mean to the conditioning vector.
    pub cap_embedder: Option<CaptionEmbedder>,
    /// A label to the conditioning vector.
    pub y_embedder: Option<LabelEmbedder>,
    /// [nextline], `[D]`.
    pub nextline_token: Option<Param<Tensor<1>>>,
    /// [nextframe], `[D]`.
    pub nextframe_token: Option<Param<Tensor<1>>>,
    /// How much of a clip is over, to what its tokens get.
    pub phase_embedder: Option<PhaseEmbedder>,
    /// Fills shorter sequences of a batch, `[D]`. No valid output depends on it; checkpoints of captions carry it.
    pub pad_token: Option<Param<Tensor<1>>>,
    /// The blocks.
    pub layers: Vec<Block>,
    /// Tokens to velocity.
    pub final_layer: FinalLayer,
    /// The same for spectrograms.
    pub audio: Option<Ends>,
    #[module(skip)]
    config: FlagDitConfig,
}

impl FlagDit {
    /// As `config` has it, from `params`.
    ///
    /// # Errors
    ///
    /// `bad-model` if the configuration is impossible or the parameters are not exactly those it calls for.
    pub fn new(config: &FlagDitConfig, params: &Params) -> Result<Self> {
        config.check()?;
        let width = config.conditioning_dim();
        let token = |name: &str| params.tensor(name, [config.dim], Init::Normal(0.02));
        let captions = config.num_classes.is_none().then_some(config.cap_feat_dim);
        let labels = config.num_classes;
        let model = Self {
            x_embedder: Linear::new(config.patch().values(), config.dim, Init::Xavier, &params.child("x_embedder")),
            t_embedder: TimestepEmbedder::new(width, &params.child("t_embedder")),
            cap_embedder: captions.map(|dim| CaptionEmbedder::new(dim, width, &params.child("cap_embedder"))),
            y_embedder: labels.map(|labels| LabelEmbedder::new(labels, width, &params.child("y_embedder"))),
            nextline_token: config.nextline.then(|| token("nextline_token")),
            nextframe_token: config.nextframe.then(|| token("nextframe_token")),
            phase_embedder: config.frame_phase.then(|| PhaseEmbedder::new(config.dim, &params.child("phase_embedder"))),
            pad_token: captions.map(|_| token("pad_token")),
            layers: (0..config.n_layers).map(|i| Block::new(config, &params.child("layers").child(i))).collect(),
            final_layer: FinalLayer::new(config, config.patch(), &params.child("final_layer")),
            audio: config.audio_patch().map(|patch| Ends::new(config, patch, &params.child("audio"))),
            config: config.clone(),
        };
        params.finish("denoiser")?;
        Ok(model)
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &FlagDitConfig {
        &self.config
    }

    /// What all evaluations with this caption share.
    ///
    /// # Panics
    ///
    /// If the model knows labels only.
    pub fn prepare(&self, caption: &Caption) -> PreparedCaption {
        let bias = mask_bias(caption.mask.clone());
        let keys = |layer: &Block| layer.caption_keys(caption.features.clone(), bias.clone());
        let embedder = self.cap_embedder.as_ref().expect("a model of captions");
        PreparedCaption {
            pooled: embedder.forward(caption.features.clone(), caption.mask.clone()),
            keys: self.layers.iter().map(keys).collect(),
        }
    }

    /// What all evaluations with these labels share, `[B]`; a label that is as large as their number stands for none.
    ///
    /// # Panics
    ///
    /// If the model knows captions only.
    pub fn prepare_labels(&self, labels: Tensor<1, Int>) -> PreparedCaption {
        let embedder = self.y_embedder.as_ref().expect("a model of labels");
        PreparedCaption { pooled: embedder.forward(labels), keys: self.layers.iter().map(|_| None).collect() }
    }

    /// The velocity dx/dt at x (`[B, C, H, W]` for pictures; [`LatentShape`]) and t `[B]` (0 noise, 1 data), of x's shape.
    pub fn forward(&self, x: Tensor<4>, t: Tensor<1>, caption: &Caption, sequence: &Sequence) -> Tensor<4> {
        self.forward_prepared(x, t, &self.prepare(caption), sequence)
    }

    /// [`Self::forward`], with what a run prepares once.
    pub fn forward_prepared(
        &self,
        x: Tensor<4>,
        t: Tensor<1>,
        caption: &PreparedCaption,
        sequence: &Sequence,
    ) -> Tensor<4> {
        let out = self.output(x.clone(), t.clone(), caption, sequence);
        self.velocity(out, x, t, sequence)
    }

    /// What leaves the network at x and t, `[B, Cout, H, W]`: of learn_sigma both halves of the channels.
    pub fn output(&self, x: Tensor<4>, t: Tensor<1>, caption: &PreparedCaption, sequence: &Sequence) -> Tensor<4> {
        let spans = match sequence.spans.len() {
            1 => vec![self.tokens(x, sequence)], // [B, N, D]
            _ => self.spans(x, sequence),
        };
        self.unpatchified(self.blocks(spans, t, caption, sequence), sequence)
    }

    /// [`Self::forward_prepared`] for pictures of different sizes, each `[C, H, W]`, in one batch.
    pub fn forward_list(&self, x: &[Tensor<3>], t: Tensor<1>, caption: &PreparedCaption) -> Vec<Tensor<3>> {
        if x.is_empty() {
            return Vec::new();
        }
        let (tokens, mask, sequences) = self.batch(x);
        let mut shared = sequences[0].clone();
        let ropes: Vec<&Rope> = sequences.iter().map(|s| &s.rope).collect();
        shared.rope = Rope::batch(&ropes, tokens.dims()[1]);
        shared.bias = Some(mask_bias(mask));
        let out = self.blocks(vec![tokens], t.clone(), caption, &shared); // [B, longest, p·p·Cout]
        let cut = |(row, s): (usize, &Sequence)| {
            let tokens = out.clone().narrow(0, row, 1).narrow(1, 0, s.layout.tokens()); // [1, N, p·p·Cout]
            let out = self.unpatchified(tokens, s);
            self.velocity(out, x[row].clone().unsqueeze_dim(0), t.clone().narrow(0, row, 1), s).squeeze_dim::<3>(0)
        };
        sequences.iter().enumerate().map(cut).collect()
    }

    /// Pictures of different sizes, each `[C, H, W]`, as tokens `[B, N, D]`, shorter rows padded on the right; which of
    /// these are no padding, `[B, N]`; and each picture's own sequence.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn batch(&self, x: &[Tensor<3>]) -> (Tensor<3>, Tensor<2>, Vec<Sequence>) {
        let sequence = |x: &Tensor<3>| {
            let [_, height, width] = x.dims();
            self.sequence(LatentShape::picture(height, width), SequenceOptions::default(), &x.device())
        };
        let sequences: Vec<Sequence> = x.iter().map(sequence).collect();
        let longest = sequences.iter().map(|s| s.layout.tokens()).max().unwrap_or(0);
        let (tokens, masks) = x.iter().zip(&sequences).map(|(x, s)| self.padded(x, s, longest)).unzip();
        (Tensor::cat(tokens, 0), Tensor::cat(masks, 0), sequences)
    }

    /// The tokens of one picture, `[1, longest, D]`, and their mask, `[1, longest]`.
    fn padded(&self, x: &Tensor<3>, sequence: &Sequence, longest: usize) -> (Tensor<3>, Tensor<2>) {
        let tokens = self.tokens(x.clone().unsqueeze_dim(0), sequence);
        let [_, count, width] = tokens.dims();
        let mask = Tensor::ones([1, count], &x.device());
        if count == longest {
            return (tokens, mask);
        }
        let pad = match &self.pad_token {
            Some(token) => token.val(),
            None => Tensor::zeros([width], &x.device()),
        };
        let pad = pad.reshape([1, 1, width]).expand([1, longest - count, width]); // [1, rest, D]
        let rest = Tensor::zeros([1, longest - count], &x.device());
        (Tensor::cat(vec![tokens, pad], 1), Tensor::cat(vec![mask, rest], 1))
    }

    /// A latent to tokens with their separators: `[B, C, H, W]` to `[B, N, D]`.
    pub fn tokens(&self, x: Tensor<4>, sequence: &Sequence) -> Tensor<3> {
        let (embedder, _) = self.ends(sequence);
        let patches = embedder.forward(patchify(x, self.patch(sequence))); // [B, F·R·C, D]
        let patches = match &self.phase_embedder {
            Some(embedder) if sequence.has_phases => embedder.add(patches, sequence.layout.frames),
            _ => patches,
        };
        let value = |token: &Option<Param<Tensor<1>>>| token.as_ref().map(Param::val);
        sequence.layout.insert(patches, value(&self.nextline_token), value(&self.nextframe_token))
    }

    /// Where a sequence enters and leaves the blocks.
    pub(super) fn ends(&self, sequence: &Sequence) -> (&Linear, &FinalLayer) {
        match &self.audio {
            Some(audio) if sequence.is_sound => (&audio.x_embedder, &audio.final_layer),
            _ => (&self.x_embedder, &self.final_layer),
        }
    }

    pub(super) fn patch(&self, sequence: &Sequence) -> Patch {
        let audio = self.config.audio_patch().filter(|_| sequence.is_sound);
        audio.unwrap_or_else(|| self.config.patch())
    }

    /// The conditioning vector, `[B, E]`.
    pub fn conditioning(&self, t: Tensor<1>, caption: &PreparedCaption) -> Tensor<2> {
        self.t_embedder.forward(t) + caption.pooled.clone()
    }

    /// Spans of tokens, `[B, n, D]`, to `[B, N, pH·pW·Cout]`.
    fn blocks(&self, spans: Vec<Tensor<3>>, t: Tensor<1>, caption: &PreparedCaption, sequence: &Sequence) -> Tensor<3> {
        let conditioning = self.t_embedder.activated(t, caption.pooled.clone());
        let layers = self.layers.iter().zip(&caption.keys);
        let block = |spans, (layer, keys): (&Block, &Option<CaptionKeys>)| {
            layer.forward_spans(spans, conditioning.clone(), sequence, keys.as_ref())
        };
        let last = &self.ends(sequence).1;
        let spans = layers.fold(spans, block).into_iter();
        let mut ends: Vec<_> = spans.map(|tokens| last.forward(tokens, conditioning.clone())).collect();
        if ends.len() == 1 { ends.remove(0) } else { Tensor::cat(ends, 1) } // [B, N, pH·pW·Cout]
    }

    /// Final tokens `[B, N, pH·pW·Cout]` to `[B, Cout, H, W]`.
    fn unpatchified(&self, tokens: Tensor<3>, sequence: &Sequence) -> Tensor<4> {
        let TokenLayout { frames, rows, cols, .. } = sequence.layout;
        let patches = sequence.layout.remove(tokens); // [B, F·R·C, pH·pW·Cout]
        unpatchify(patches, frames * rows, cols, self.patch(sequence))
    }

    /// The network's output to the velocity at x and t; learn_sigma's second half of the channels is dropped.
    fn velocity(&self, out: Tensor<4>, x: Tensor<4>, t: Tensor<1>, sequence: &Sequence) -> Tensor<4> {
        let out = out.narrow(1, 0, self.patch(sequence).channels);
        match self.predicts(sequence) {
            Prediction::Velocity => out,
            Prediction::Data => {
                let rest = (t * -1.0 + 1.0).clamp_min(LEAST_REST);
                (out - x) / rest.reshape([-1, 1, 1, 1]) // [B, 1, bands, T]
            }
        }
    }

    /// What the final layer's output is, for latents of the sequence's kind.
    pub fn predicts(&self, sequence: &Sequence) -> Prediction {
        self.config.audio.filter(|_| sequence.is_sound).map(|audio| audio.predicts).unwrap_or_default()
    }
}
