//! Rendered pictures with captions, made ahead on a thread of their own.

use std::sync::mpsc::{Receiver, sync_channel};

use burn::tensor::{Device, Tensor, TensorData};

use super::recipe::Stage;
use crate::world::{Curriculum, Rng, sample};

/// Batches made ahead.
const AHEAD: usize = 3;

/// Pictures of one size with their captions.
pub struct Batch {
    /// `[B, 3, H, W]` in −1 … 1, row-major.
    pub pixels: Vec<f32>,
    /// B, W, H.
    pub size: (usize, usize, usize),
    /// One a picture.
    pub captions: Vec<String>,
}

impl Batch {
    /// `[B, 3, H, W]`.
    pub fn pictures(&self, device: &Device) -> Tensor<4> {
        let (batch, width, height) = self.size;
        Tensor::from_data(TensorData::new(self.pixels.clone(), [batch, 3, height, width]), device)
    }
}

/// An endless stream of batches. `share` is the share of a full batch that is wanted; `pictures` is where the
/// training stands, so that a resumed one does not see the same pictures again.
pub fn stream(stage: &Stage, seed: u64, pictures: u64, share: f32) -> Receiver<Batch> {
    let (sender, receiver) = sync_channel(AHEAD);
    let stage = stage.clone();
    std::thread::spawn(move || {
        let mut rng = Rng::stream(seed, "pictures", pictures);
        let mut seen = pictures;
        loop {
            let (width, height, full) = stage.draw_size(&mut rng);
            let batch = ((full as f32 * share).round() as usize).max(1);
            let rendered = render(&mut rng, stage.simple_share(seen), (batch, width as usize, height as usize));
            seen += full as u64;
            if sender.send(rendered).is_err() {
                return; // the training is over
            }
        }
    });
    receiver
}

fn render(rng: &mut Rng, simple: f32, size: (usize, usize, usize)) -> Batch {
    let (batch, width, height) = size;
    let area = width * height;
    let mut pixels = vec![0.0; batch * 3 * area];
    let mut captions = Vec::with_capacity(batch);
    for picture in pixels.chunks_exact_mut(3 * area) {
        let curriculum = if rng.chance(simple) { Curriculum::Simple } else { Curriculum::Full };
        let sample = sample(rng, curriculum);
        let rgb = sample.scene.render(width as u32, height as u32);
        for (i, pixel) in rgb.chunks_exact(3).enumerate() {
            for channel in 0..3 {
                picture[channel * area + i] = f32::from(pixel[channel]) / 127.5 - 1.0;
            }
        }
        captions.push(sample.caption);
    }
    Batch { pixels, size, captions }
}
