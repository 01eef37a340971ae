//! Latents to patches and back. The order of values inside a patch differs in and out (`model.md` §0.4).

use burn::tensor::Tensor;

use super::config::Patch;

/// `[B, C, H, W]` to `[B, H/pH · W/pW, C·pH·pW]`, values ordered (C, pH, pW).
pub fn patchify(x: Tensor<4>, patch: Patch) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    let (rows, cols) = (height / patch.height, width / patch.width);
    x.reshape([batch, channels, rows, patch.height, cols, patch.width]) // [B, C, R, pH, Cols, pW]
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch, rows * cols, patch.values()]) // [B, R·Cols, C·pH·pW]
}

/// `[B, R · Cols, pH·pW·C]`, values ordered (pH, pW, C), to `[B, C, R·pH, Cols·pW]`. C may be a multiple of the patch's
/// channels.
pub fn unpatchify(x: Tensor<3>, rows: usize, cols: usize, patch: Patch) -> Tensor<4> {
    let [batch, _, values] = x.dims();
    let Patch { height, width, .. } = patch;
    let channels = values / (height * width);
    x.reshape([batch, rows, cols, height, width, channels]) // [B, R, Cols, pH, pW, C]
        .permute([0, 5, 1, 3, 2, 4])
        .reshape([batch, channels, rows * height, cols * width]) // [B, C, R·pH, Cols·pW]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Two channels of 2 × 4: the digits of a value are its channel, row and column.
    const LATENT: [f32; 16] = [0., 1., 2., 3., 10., 11., 12., 13., 100., 101., 102., 103., 110., 111., 112., 113.];

    const PATCH: Patch = Patch { channels: 2, height: 2, width: 2 };

    fn latent() -> TensorData {
        TensorData::new(LATENT.to_vec(), [1, 2, 2, 4])
    }

    #[test]
    fn patches_go_in_channel_by_channel() {
        let expected: [f32; 16] = [0., 1., 10., 11., 100., 101., 110., 111., 2., 3., 12., 13., 102., 103., 112., 113.];
        let found = patchify(Tensor::from_data(latent(), &Device::flex()), PATCH).into_data();
        found.assert_eq(&TensorData::new(expected.to_vec(), [1, 2, 8]), true);
    }

    #[test]
    fn patches_come_out_pixel_by_pixel() {
        let patches: [f32; 16] = [0., 100., 1., 101., 10., 110., 11., 111., 2., 102., 3., 103., 12., 112., 13., 113.];
        let patches = Tensor::<3>::from_data(TensorData::new(patches.to_vec(), [1, 2, 8]), &Device::flex());
        unpatchify(patches, 1, 2, PATCH).into_data().assert_eq(&latent(), true);
    }

    #[test]
    fn a_patch_of_sound_holds_every_band_of_its_frames() {
        let bands = TensorData::new((0..12).map(|value| value as f32).collect::<Vec<_>>(), [1, 1, 3, 4]);
        let patch = Patch { channels: 1, height: 3, width: 2 };
        let patches = patchify(Tensor::from_data(bands.clone(), &Device::flex()), patch); // [1, 2, 6]
        let expected: [f32; 12] = [0., 1., 4., 5., 8., 9., 2., 3., 6., 7., 10., 11.];
        patches.clone().into_data().assert_eq(&TensorData::new(expected.to_vec(), [1, 2, 6]), true);
        // With one channel both orders are the same.
        unpatchify(patches, 1, 2, patch).into_data().assert_eq(&bands, true);
    }
}
