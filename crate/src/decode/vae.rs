//! AutoencoderKL: pictures to latents and back (diffusers' structure; `model.md` §4).

use burn::{
    module::Module,
    tensor::{Tensor, activation::silu},
};
use serde::{Deserialize, Serialize};

use super::{
    tiling,
    vae_blocks::{EPSILON, MidBlock, Stage},
};
use crate::{
    error::{Error, Result},
    nn::{conv::Conv2d, norm::GroupNorm},
    weights::params::Params,
};

/// The shape of the autoencoder, with the names of diffusers' `config.json` (others are ignored).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VaeConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Channels of the decoded picture.
    pub out_channels: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of every resolution, the full one first.
    pub block_out_channels: Vec<usize>,
    /// Resnets a resolution in the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Groups of the group norms.
    pub norm_num_groups: usize,
    /// Whether the middle has attention.
    #[serde(default = "yes")]
    pub mid_block_add_attention: bool,
    /// Latents are multiplied by this for the denoiser; where a file does not say, as the first of them (sd-vae-ft-mse),
    /// it is Stable Diffusion's.
    #[serde(default = "stable_diffusions")]
    pub scaling_factor: f64,
    /// Subtracted from latents before that.
    #[serde(default)]
    pub shift_factor: Option<f64>,
}

fn yes() -> bool {
    true
}

fn stable_diffusions() -> f64 {
    0.18215
}

impl VaeConfig {
    /// Picture pixels along each side of a latent pixel.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// Bytes of the largest tensor of the decoder above the latent's resolution, for a picture of this size.
    pub fn largest(&self, height: usize, width: usize) -> u64 {
        let widths: Vec<usize> = self.block_out_channels.iter().rev().copied().collect();
        let resnets = vec![self.layers_per_block + 1; widths.len()];
        tiling::largest(widths, &resnets, height / self.factor(), width / self.factor()) as u64
    }

    /// Refuses what cannot be built, before anything is allocated for it.
    ///
    /// # Errors
    ///
    /// `bad-model` that names the field.
    pub fn check(&self) -> Result<()> {
        let field = |name: &str| Error::bad_model(format!("autoencoder configuration, {name}"));
        let levels = self.block_out_channels.len();
        if !(1..=6).contains(&levels) {
            return Err(field("block_out_channels").expected("1 to 6 resolutions").found(levels.to_string()));
        }
        let channels = [("in_channels", self.in_channels), ("out_channels", self.out_channels)];
        let widths = self.block_out_channels.iter().map(|&width| ("block_out_channels", width));
        for (name, value) in channels.into_iter().chain([("latent_channels", self.latent_channels)]).chain(widths) {
            if value == 0 || value > 4096 {
                return Err(field(name).expected("1 to 4096").found(value.to_string()));
            }
        }
        if self.layers_per_block == 0 || self.layers_per_block > 16 {
            return Err(field("layers_per_block").expected("1 to 16").found(self.layers_per_block.to_string()));
        }
        let groups = self.norm_num_groups;
        if groups == 0 || self.block_out_channels.iter().any(|width| !width.is_multiple_of(groups)) {
            return Err(field("norm_num_groups").expected("a divisor of every width").found(groups.to_string()));
        }
        if !(1e-6..=1e6).contains(&self.scaling_factor) {
            return Err(field("scaling_factor").expected("1e-6 to 1e6").found(self.scaling_factor.to_string()));
        }
        match self.shift_factor {
            Some(shift) if !(-1e6..=1e6).contains(&shift) => {
                return Err(field("shift_factor").expected("-1e6 to 1e6").found(shift.to_string()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Picture to moments.
#[derive(Module, Debug)]
pub struct Encoder {
    /// From the picture's channels.
    pub conv_in: Conv2d,
    /// From full resolution down.
    pub down_blocks: Vec<Stage>,
    /// At the lowest resolution.
    pub mid_block: MidBlock,
    /// Before the last convolution.
    pub conv_norm_out: GroupNorm,
    /// To twice the latent's channels.
    pub conv_out: Conv2d,
}

/// Latent to picture.
#[derive(Module, Debug)]
pub struct Decoder {
    /// From the latent's channels.
    pub conv_in: Conv2d,
    /// At the lowest resolution.
    pub mid_block: MidBlock,
    /// Up to full resolution.
    pub up_blocks: Vec<Stage>,
    /// Before the last convolution.
    pub conv_norm_out: GroupNorm,
    /// To the picture's channels.
    pub conv_out: Conv2d,
}

/// The autoencoder.
#[derive(Module, Debug)]
pub struct AutoencoderKl {
    /// Picture to moments.
    pub encoder: Encoder,
    /// Latent to picture.
    pub decoder: Decoder,
    /// 1×1, on the moments.
    pub quant_conv: Conv2d,
    /// 1×1, on the latent.
    pub post_quant_conv: Conv2d,
    scaling: f64,
    shift: f64,
    factor: usize,
}

impl AutoencoderKl {
    /// As `config` has it, from `params`.
    ///
    /// # Errors
    ///
    /// `bad-model` if the configuration is impossible or the parameters are not exactly those it calls for.
    pub fn new(config: &VaeConfig, params: &Params) -> Result<Self> {
        config.check()?;
        let latent = config.latent_channels;
        let model = Self {
            encoder: Encoder::new(config, &params.child("encoder")),
            decoder: Decoder::new(config, &params.child("decoder")),
            quant_conv: Conv2d::new(2 * latent, 2 * latent, 1, &params.child("quant_conv")),
            post_quant_conv: Conv2d::new(latent, latent, 1, &params.child("post_quant_conv")),
            scaling: config.scaling_factor,
            shift: config.shift_factor.unwrap_or(0.0),
            factor: config.factor(),
        };
        params.finish("image autoencoder")?;
        Ok(model)
    }

    /// Picture pixels along each side of a latent pixel.
    pub fn factor(&self) -> usize {
        self.factor
    }

    /// Channels of the latent.
    pub fn latent_channels(&self) -> usize {
        self.post_quant_conv.bias.val().dims()[0]
    }

    /// The latent's mean and log-variance, each `[B, L, H/f, W/f]`, of pictures `[B, 3, H, W]` in −1 … 1.
    pub fn moments(&self, picture: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let moments = self.quant_conv.forward(self.encoder.forward(picture));
        let latent = moments.dims()[1] / 2;
        (moments.clone().narrow(1, 0, latent), moments.narrow(1, latent, latent).clamp(-30.0, 20.0))
    }

    /// Pictures `[B, 3, H, W]` in −1 … 1 to what the denoiser works on: the scaled mean, `[B, L, H/f, W/f]`.
    pub fn encode(&self, picture: Tensor<4>) -> Tensor<4> {
        (self.moments(picture).0 - self.shift) * self.scaling
    }

    /// [`Self::encode`] by tiles, as [`Self::decode_within`], where the sides are multiples of [`Self::factor`]; else at once.
    ///
    /// # Errors
    ///
    /// Those of [`Self::decode_within`].
    pub async fn encode_within(
        &self,
        picture: Tensor<4>,
        most_bytes: usize,
        between: &mut impl AsyncFnMut(usize, usize),
    ) -> Result<Tensor<4>> {
        let moments = self.quant_conv.forward(tiling::encode(&self.encoder, picture, most_bytes, between).await?);
        Ok((moments.narrow(1, 0, self.latent_channels()) - self.shift) * self.scaling)
    }

    /// What the denoiser made, `[B, L, h, w]`, to pictures `[B, 3, f·h, f·w]` of about −1 … 1.
    pub fn decode(&self, latent: Tensor<4>) -> Tensor<4> {
        self.decode_unscaled(latent / self.scaling + self.shift)
    }

    /// [`Self::decode`] of any size, by tiles where a picture's tensors would be larger than `most_bytes` (`tiling.rs` says
    /// how, and how near it comes). `between` is awaited before the first tile and after each, and told how
    /// many of how many parts are done.
    ///
    /// # Errors
    ///
    /// `device-lost` if the device does not answer.
    pub async fn decode_within(
        &self,
        latent: Tensor<4>,
        most_bytes: usize,
        between: &mut impl AsyncFnMut(usize, usize),
    ) -> Result<Tensor<4>> {
        let latent = self.post_quant_conv.forward(latent / self.scaling + self.shift);
        tiling::decode(&self.decoder, latent, most_bytes, between).await
    }

    /// [`Self::decode`] for a latent as the encoder's mean has it.
    pub fn decode_unscaled(&self, latent: Tensor<4>) -> Tensor<4> {
        self.decoder.forward(self.post_quant_conv.forward(latent))
    }
}

impl Encoder {
    fn new(config: &VaeConfig, params: &Params) -> Self {
        let (widths, groups) = (&config.block_out_channels, config.norm_num_groups);
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let blocks = params.child("down_blocks");
        let stage = |i: usize| {
            let input = widths[i.saturating_sub(1)];
            let is_last = i + 1 == widths.len();
            Stage::down(input, widths[i], config.layers_per_block, groups, is_last, &blocks.child(i))
        };
        Self {
            conv_in: Conv2d::new(config.in_channels, first, 3, &params.child("conv_in")),
            down_blocks: (0..widths.len()).map(stage).collect(),
            mid_block: MidBlock::new(last, groups, config.mid_block_add_attention, &params.child("mid_block")),
            conv_norm_out: GroupNorm::new(last, groups, EPSILON, &params.child("conv_norm_out")),
            conv_out: Conv2d::new(last, 2 * config.latent_channels, 3, &params.child("conv_out")),
        }
    }

    /// All that works at the latent's resolution behind the last stage: `[B, C, h, w]` to `[B, 2L, h, w]`.
    pub(super) fn head(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.mid_block.forward(x);
        self.conv_out.forward(silu(self.conv_norm_out.forward(x)))
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv_in.forward(x);
        self.head(self.down_blocks.iter().fold(x, |x, stage| stage.forward(x)))
    }
}

impl Decoder {
    fn new(config: &VaeConfig, params: &Params) -> Self {
        let groups = config.norm_num_groups;
        let widths: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let blocks = params.child("up_blocks");
        let stage = |i: usize| {
            let input = widths[i.saturating_sub(1)];
            let is_last = i + 1 == widths.len();
            Stage::up(input, widths[i], config.layers_per_block + 1, groups, is_last, &blocks.child(i))
        };
        Self {
            conv_in: Conv2d::new(config.latent_channels, first, 3, &params.child("conv_in")),
            mid_block: MidBlock::new(first, groups, config.mid_block_add_attention, &params.child("mid_block")),
            up_blocks: (0..widths.len()).map(stage).collect(),
            conv_norm_out: GroupNorm::new(last, groups, EPSILON, &params.child("conv_norm_out")),
            conv_out: Conv2d::new(last, config.out_channels, 3, &params.child("conv_out")),
        }
    }

    /// All that works at the latent's resolution: `[B, L, h, w]` to `[B, C, h, w]` behind the first stage's resnets.
    pub(super) fn head(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.mid_block.forward(self.conv_in.forward(x));
        self.up_blocks[0].resnets.iter().fold(x, |x, resnet| resnet.forward(x))
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.mid_block.forward(self.conv_in.forward(x));
        let x = self.up_blocks.iter().fold(x, |x, stage| stage.forward(x));
        self.conv_out.forward(silu(self.conv_norm_out.forward(x)))
    }
}
