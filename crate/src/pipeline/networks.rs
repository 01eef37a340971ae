//! The networks on the device: all of them where they fit, else each while it works.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
};

use async_stream::try_stream;
use futures_core::Stream;

use super::{Pipeline, follow::follow};
use crate::{
    decode::vae::AutoencoderKl,
    device::Device,
    error::Result,
    model::FlagDit,
    parts,
    plan::Plan,
    progress::{Event, LoadProgress, LoadStage, Stage},
    text::{embeddings::TABLE, language_model::LanguageModel},
    weights::Reader,
};

/// A network that may be on the device.
struct Slot<T> {
    network: RefCell<Option<Rc<T>>>,
    /// Its bytes there.
    bytes: Cell<u64>,
}

impl<T> Slot<T> {
    fn empty() -> Self {
        Self { network: RefCell::new(None), bytes: Cell::new(0) }
    }

    /// The network; loaded, if it is not there.
    async fn get_or(&self, bytes: u64, load: impl Future<Output = Result<T>>) -> Result<Rc<T>> {
        let known = self.network.borrow().clone();
        match known {
            Some(network) => Ok(network),
            None => Ok(self.put(load.await?, bytes)),
        }
    }

    fn put(&self, network: T, bytes: u64) -> Rc<T> {
        let network = Rc::new(network);
        self.network.replace(Some(Rc::clone(&network)));
        self.bytes.set(bytes);
        network
    }

    fn free(&self) {
        self.network.take();
        self.bytes.set(0);
    }
}

/// What is loaded.
pub(super) struct Networks {
    text: Slot<LanguageModel>,
    denoiser: Slot<FlagDit>,
    vae: Slot<AutoencoderKl>,
}

impl Networks {
    pub fn none() -> Self {
        Self { text: Slot::empty(), denoiser: Slot::empty(), vae: Slot::empty() }
    }

    fn free(&self, stage: Stage) {
        match stage {
            Stage::Encode => self.text.free(),
            Stage::Sample => self.denoiser.free(),
            Stage::Decode => self.vae.free(),
        }
    }

    /// All of them; `progress` hears of every tensor.
    pub async fn all(
        reader: &Reader,
        device: &Device,
        plan: &Plan,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self> {
        let names = || reader.manifest().tensors.keys().map(String::as_str).filter(|name| *name != TABLE);
        let (in_files, in_tensors) = (reader.verified_with(names()), names().map(|name| reader.bytes(name)).sum());
        let mut uploaded = 0;
        let mut moved = |bytes| {
            uploaded += bytes;
            progress(LoadProgress { stage: LoadStage::Verify, loaded: reader.verified(), total: in_files });
            progress(LoadProgress { stage: LoadStage::Upload, loaded: uploaded, total: in_tensors });
        };
        let [encode, sample, decode] = plan.stages.map(|stage| stage.weights);
        let networks = Self::none();
        if reader.manifest().components.text.is_some() {
            networks.text.put(parts::text(reader, device, &mut moved).await?, encode);
        }
        networks.denoiser.put(parts::denoiser(reader, device, &mut moved).await?, sample);
        networks.vae.put(parts::autoencoder(reader, device, &mut moved).await?, decode);
        Ok(networks)
    }
}

impl Pipeline {
    /// The text encoder; it is loaded if it is not, in the place of others if it needs that. So for the others.
    pub(super) async fn text(&self, plan: &Plan) -> Result<Rc<LanguageModel>> {
        self.text_with(plan, &mut |_| {}).await
    }

    /// [`Self::text`], and `moved` is told the bytes of every tensor. So for the others.
    async fn text_with(&self, plan: &Plan, moved: &mut dyn FnMut(u64)) -> Result<Rc<LanguageModel>> {
        let bytes = self.make_room(plan, Stage::Encode);
        self.networks.text.get_or(bytes, parts::text(&self.reader, &self.device, moved)).await
    }

    /// The denoiser.
    pub(super) async fn denoiser(&self, plan: &Plan) -> Result<Rc<FlagDit>> {
        self.denoiser_with(plan, &mut |_| {}).await
    }

    async fn denoiser_with(&self, plan: &Plan, moved: &mut dyn FnMut(u64)) -> Result<Rc<FlagDit>> {
        let bytes = self.make_room(plan, Stage::Sample);
        self.networks.denoiser.get_or(bytes, parts::denoiser(&self.reader, &self.device, moved)).await
    }

    /// The decoder of pictures.
    pub(super) async fn vae(&self, plan: &Plan) -> Result<Rc<AutoencoderKl>> {
        self.vae_with(plan, &mut |_| {}).await
    }

    async fn vae_with(&self, plan: &Plan, moved: &mut dyn FnMut(u64)) -> Result<Rc<AutoencoderKl>> {
        let bytes = self.make_room(plan, Stage::Decode);
        self.networks.vae.get_or(bytes, parts::autoencoder(&self.reader, &self.device, moved)).await
    }

    /// Brings the network of a stage to the device if it is not there, and tells how far that is.
    pub(super) fn loading<'a>(&'a self, stage: Stage, plan: &'a Plan) -> impl Stream<Item = Result<Event>> + 'a {
        try_stream! {
            let component = match stage {
                Stage::Encode => parts::TEXT,
                Stage::Sample => parts::DENOISER,
                Stage::Decode => parts::IMAGE_DECODER,
            };
            let names = self.reader.names_of(component).filter(|name| *name != TABLE);
            let total = names.map(|name| self.reader.bytes(name)).sum();
            let (mut loaded, told) = (0, Cell::new(None));
            let mut moved = |bytes| {
                loaded += bytes;
                told.set(Some(loaded));
            };
            let mut load = pin!(async {
                match stage {
                    Stage::Encode => self.text_with(plan, &mut moved).await.map(drop),
                    Stage::Sample => self.denoiser_with(plan, &mut moved).await.map(drop),
                    Stage::Decode => self.vae_with(plan, &mut moved).await.map(drop),
                }
            });
            loop {
                let (news, done) = follow(load.as_mut(), &told).await;
                if let Some(loaded) = news {
                    yield Event::Load(LoadProgress { stage: LoadStage::Upload, loaded, total });
                }
                if let Some(done) = done {
                    done?;
                    break;
                }
            }
        }
    }

    /// Frees the networks of other stages until this one fits with what it works with, those first that are cheapest to
    /// load again. The bytes of this stage's network.
    fn make_room(&self, plan: &Plan, stage: Stage) -> u64 {
        let Networks { text, denoiser, vae } = &self.networks;
        let wanted = plan.stage(stage);
        let others = [(Stage::Decode, &vae.bytes), (Stage::Encode, &text.bytes), (Stage::Sample, &denoiser.bytes)];
        let others = || others.iter().filter(|(its_stage, _)| *its_stage != stage);
        let taken = || wanted.bytes() + others().map(|(_, bytes)| bytes.get()).sum::<u64>();
        let mut is_freed = false;
        for (its_stage, bytes) in others() {
            if taken() > self.device.capacity().memory && bytes.get() > 0 {
                self.networks.free(*its_stage);
                is_freed = true;
            }
        }
        if is_freed {
            // Freed pages stay in the allocator's pool otherwise, where the next network's tensors may not fit.
            self.device.burn().memory_cleanup();
        }
        wanted.weights
    }
}
