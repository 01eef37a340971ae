//! Latents to patches and back. The order of values inside a patch differs in and out (`model.md` §0.4).

use burn::tensor::Tensor;

/// `[B, C, H, W]` to `[B, H/p · W/p, C·p·p]`, values ordered (C, pH, pW).
pub fn patchify(x: Tensor<4>, patch: usize) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    let (rows, cols) = (height / patch, width / patch);
    x.reshape([batch, channels, rows, patch, cols, patch]) // [B, C, R, pH, Cols, pW]
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch, rows * cols, channels * patch * patch]) // [B, R·Cols, C·pH·pW]
}

/// `[B, H/p · W/p, p·p·C]`, values ordered (pH, pW, C), to `[B, C, H, W]`.
pub fn unpatchify(x: Tensor<3>, rows: usize, cols: usize, patch: usize) -> Tensor<4> {
    let [batch, _, values] = x.dims();
    let channels = values / (patch * patch);
    x.reshape([batch, rows, cols, patch, patch, channels]) // [B, R, Cols, pH, pW, C]
        .permute([0, 5, 1, 3, 2, 4])
        .reshape([batch, channels, rows * patch, cols * patch]) // [B, C, H, W]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Two channels of 2 × 4: the digits of a value are its channel, row and column.
    const LATENT: [f32; 16] = [0., 1., 2., 3., 10., 11., 12., 13., 100., 101., 102., 103., 110., 111., 112., 113.];

    fn latent() -> TensorData {
        TensorData::new(LATENT.to_vec(), [1, 2, 2, 4])
    }

    #[test]
    fn patches_go_in_channel_by_channel() {
        let expected: [f32; 16] = [0., 1., 10., 11., 100., 101., 110., 111., 2., 3., 12., 13., 102., 103., 112., 113.];
        let found = patchify(Tensor::from_data(latent(), &Device::flex()), 2).into_data();
        found.assert_eq(&TensorData::new(expected.to_vec(), [1, 2, 8]), true);
    }

    #[test]
    fn patches_come_out_pixel_by_pixel() {
        let patches: [f32; 16] = [0., 100., 1., 101., 10., 110., 11., 111., 2., 102., 3., 103., 12., 112., 13., 113.];
        let patches = Tensor::<3>::from_data(TensorData::new(patches.to_vec(), [1, 2, 8]), &Device::flex());
        unpatchify(patches, 1, 2, 2).into_data().assert_eq(&latent(), true);
    }
}
