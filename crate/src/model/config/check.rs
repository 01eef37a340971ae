//! Which shapes are possible.

use super::FlagDitConfig;
use crate::error::{Error, Result};

impl FlagDitConfig {
    /// Refuses what cannot be built, before anything is allocated for it.
    ///
    /// # Errors
    ///
    /// `bad-model` that names the field.
    pub fn check(&self) -> Result<()> {
        let bounded = [
            ("patch_size", self.patch_size, 16),
            ("in_channels", self.in_channels, 256),
            ("dim", self.dim, 16_384),
            ("n_layers", self.n_layers, 256),
            ("n_heads", self.n_heads, 256),
            ("multiple_of", self.multiple_of, 16_384),
            ("cap_feat_dim", self.num_classes.map_or(self.cap_feat_dim, |_| 1), 65_536),
            ("num_classes", self.num_classes.unwrap_or(1), 1 << 20),
            ("rope_axes", self.rope_axes(), 3),
            ("n_kv_heads", self.kv_heads(), 256),
            ("audio.bands", self.audio.map_or(1, |audio| audio.bands), 1024),
            ("audio.frames", self.audio.map_or(1, |audio| audio.frames), 1024),
        ];
        for (name, value, most) in bounded {
            if value == 0 || value > most {
                return Err(field(name).expected(format!("1 to {most}")).found(value.to_string()));
            }
        }
        let turned = 2 * self.rope_axes();
        if !self.dim.is_multiple_of(self.n_heads) || !self.head_dim().is_multiple_of(turned) {
            return Err(field("n_heads")
                .expected(format!("heads that divide dim {}, of a width that is a multiple of {turned}", self.dim))
                .found(self.n_heads.to_string()));
        }
        if self.rope_axes() > 1 && (self.nextline || self.nextframe) {
            let found = format!("nextline {}, nextframe {}", self.nextline, self.nextframe);
            return Err(field("rope_axes").expected("1 beside nextline or nextframe").found(found));
        }
        if self.num_classes.is_some() && self.cap_feat_dim != 0 {
            return Err(field("cap_feat_dim").expected("0 beside num_classes").found(self.cap_feat_dim.to_string()));
        }
        if !self.n_heads.is_multiple_of(self.kv_heads()) {
            return Err(field("n_kv_heads")
                .expected(format!("a divisor of n_heads {}", self.n_heads))
                .found(self.kv_heads().to_string()));
        }
        let positive = [
            ("norm_eps", self.norm_eps),
            ("rope_scaling_factor", self.rope_scaling_factor),
            ("ntk_factor", self.ntk_factor),
        ];
        for (name, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(field(name).expected("a number above 0").found(value.to_string()));
            }
        }
        match self.ffn_dim_multiplier {
            Some(factor) if !(factor > 0.0 && factor <= 64.0) => {
                Err(field("ffn_dim_multiplier").expected("above 0, at most 64").found(factor.to_string()))
            }
            _ => Ok(()),
        }
    }
}

fn field(name: &str) -> Error {
    Error::bad_model(format!("denoiser configuration, {name}"))
}
