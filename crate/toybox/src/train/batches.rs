//! Rendered samples with captions, made ahead on threads of their own.

use std::sync::{
    Arc,
    mpsc::{Receiver, RecvError, SyncSender, sync_channel},
};

use burn::tensor::{Device, Tensor, TensorData};
use flagdit::{
    decode::mel::{MelConfig, MelSpectrogram},
    request::Kind,
};

use super::recipe::{Bucket, Recipe, Stage};
use crate::world::{Curriculum, Rng, sample, sound, video, views};

/// Batches that each thread makes ahead.
const AHEAD: usize = 2;

/// Samples of one bucket with their captions.
pub struct Batch {
    /// The bucket's place in its stage.
    pub bucket: usize,
    /// Pictures in −1 … 1, `[B·F, 3, H, W]`, a sample's frames one after the other; of sound the spectrograms,
    /// `[B, 1, bands, T]`.
    pub values: Vec<f32>,
    shape: [usize; 4],
    /// One a sample, with the prefix of its kind.
    pub captions: Vec<String>,
}

impl Batch {
    /// All samples as a tensor.
    pub fn tensor(&self, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape), device)
    }
}

/// Draws samples of every kind.
struct Source {
    stage: Stage,
    recipe: Recipe,
    spectrogram: Option<(MelConfig, MelSpectrogram)>,
}

/// An endless stream of what becomes of batches.
pub struct Batches<T> {
    threads: Vec<Receiver<T>>,
    next: usize,
}

impl<T> Batches<T> {
    /// The next one. The threads take turns, so the order does not depend on which is quicker.
    ///
    /// # Errors
    ///
    /// If a thread ended, which it does by a panic alone.
    pub fn recv(&mut self) -> Result<T, RecvError> {
        let thread = self.next;
        self.next = (thread + 1) % self.threads.len();
        self.threads[thread].recv()
    }
}

/// Batches by so many `threads`, each of which also makes of a batch what `prepare` does. `share` is the share of a full
/// batch that is wanted; `pictures` is where the training stands. Every batch has random numbers of its own place, so a
/// resumed training goes on with the samples that would have come, whatever the number of threads.
pub fn stream<T: Send + 'static>(
    recipe: &Recipe,
    stage: &Stage,
    pictures: u64,
    share: f32,
    threads: usize,
    prepare: impl Fn(Batch) -> T + Send + Sync + 'static,
) -> Batches<T> {
    let spectrogram = recipe.mel.as_ref().map(|mel| {
        let spectrogram = MelSpectrogram::new(mel).expect("the recipe was checked when it was read");
        (mel.clone(), spectrogram)
    });
    let source = Source { stage: stage.clone(), recipe: recipe.clone(), spectrogram };
    let shared = Arc::new((source, prepare));
    let thread = |first: usize| {
        let (sender, receiver) = sync_channel(AHEAD);
        let shared = shared.clone();
        std::thread::spawn(move || {
            let batch = shared.0.stage.batch as u64;
            let places = (first as u64..).step_by(threads).map(|place| pictures + place * batch);
            shared.0.fill(places, share, &sender, &shared.1);
        });
        receiver
    };
    Batches { threads: (0..threads).map(thread).collect(), next: 0 }
}

impl Source {
    /// Sends the batches of these places, until nobody wants more.
    fn fill<T>(
        &self,
        places: impl Iterator<Item = u64>,
        share: f32,
        sender: &SyncSender<T>,
        prepare: &impl Fn(Batch) -> T,
    ) {
        for seen in places {
            let mut rng = Rng::stream(self.recipe.seed, "pictures", seen);
            let (bucket, full) = self.stage.draw_bucket(&mut rng);
            let count = ((full as f32 * share).round() as usize).max(1);
            if sender.send(prepare(self.batch(&mut rng, seen, bucket, count))).is_err() {
                return; // the training is over
            }
        }
    }

    fn batch(&self, rng: &mut Rng, seen: u64, place: usize, count: usize) -> Batch {
        let bucket = self.stage.buckets[place];
        let prefix = self.recipe.prefix(bucket.kind);
        let mut values = Vec::with_capacity(count * bucket.cost() * 3);
        let mut captions = Vec::with_capacity(count);
        for _ in 0..count {
            let caption = self.draw(rng, seen, bucket, &mut values);
            captions.push(format!("{prefix}{caption}"));
        }
        let [width, height] = bucket.size.map(|side| side as usize);
        let shape = match bucket.kind {
            Kind::Audio => [count, 1, height, width],
            _ => [count * bucket.frames, 3, height, width],
        };
        Batch { bucket: place, values, shape, captions }
    }

    /// One sample's values, appended to `values`, and its caption.
    fn draw(&self, rng: &mut Rng, seen: u64, bucket: Bucket, values: &mut Vec<f32>) -> String {
        let [width, height] = bucket.size;
        match bucket.kind {
            Kind::Image => {
                let simple = rng.chance(self.stage.simple_share(seen));
                let sample = sample(rng, if simple { Curriculum::Simple } else { Curriculum::Full });
                add_picture(&sample.scene.render(width, height), values);
                sample.caption
            }
            Kind::Video => {
                let sample = video::sample(rng, self.stage.spins);
                sample.clip.render(width, height, bucket.frames).iter().for_each(|rgb| add_picture(rgb, values));
                sample.caption
            }
            Kind::Views => {
                let sample = views::sample(rng);
                sample.object.render(width, height, bucket.frames).iter().for_each(|rgb| add_picture(rgb, values));
                sample.caption
            }
            Kind::Audio => {
                let sample = sound::sample(rng);
                let (config, spectrogram) = self.spectrogram.as_ref().expect("a recipe with sound has a spectrogram");
                let seconds = (width as usize * config.hop) as f32 / config.sample_rate as f32;
                let samples = sample.sound.render(seconds, config.sample_rate);
                values.extend(spectrogram.analyse(&samples, width as usize)); // [bands, T]
                sample.caption
            }
        }
    }
}

/// RGB bytes to channels in −1 … 1.
fn add_picture(rgb: &[u8], values: &mut Vec<f32>) {
    for channel in 0..3 {
        values.extend(rgb.iter().skip(channel).step_by(3).map(|&level| f32::from(level) / 127.5 - 1.0));
    }
}
