//! A picture that nobody sees, so that the first one that somebody waits for finds the device's programs compiled.

use std::{future::poll_fn, pin::pin};

use futures_core::Stream as _;

use super::Pipeline;
use crate::{
    device,
    error::{Error, ErrorKind, Result},
    kernels,
    progress::{Event, LoadProgress, LoadStage, Stage},
    request::{Kind, Request},
    sampler::solver::SolverKind,
};

/// Pixels along each side of the picture that is made, at most. A large model takes seconds for its native size, on a
/// processor that plays GPU an hour; a few ways to divide products of very many tokens are compiled when they are met.
const MOST_SIDE: usize = 256;

impl Pipeline {
    /// Runs every network once, at the model's native size or a part of it. `progress` is told how many are done.
    ///
    /// # Errors
    ///
    /// Those of [`Self::generate`]; `unsupported` where a GPU makes numbers that are none of weights whose hashes are
    /// right.
    pub async fn warm_up(&self, progress: &mut dyn FnMut(LoadProgress)) -> Result<()> {
        let example = self.blueprint.example(Kind::Image);
        let solver = Some(SolverKind::Euler.name().to_owned());
        let (width, height) = self.warm_up_size().unzip();
        let request = Request { solver, width, height, ..example.steps(1) };
        let mut report = |loaded| progress(LoadProgress { stage: LoadStage::Compile, loaded, total: Stage::COUNT });
        let mut events = pin!(self.generate(request));
        let mut begun = 0;
        while let Some(event) = poll_fn(|context| events.as_mut().poll_next(context)).await {
            match event.map_err(|error| self.blame(error))? {
                Event::Stage(_) => {
                    report(begun);
                    begun += 1;
                }
                Event::Done(_) => report(begun),
                Event::Load(_) | Event::Warning(_) | Event::Step { .. } | Event::Decode { .. } | Event::Preview(_) => {}
            }
        }
        Ok(())
    }

    /// Width and height; none where the manifest knows no pictures, which the request will be told.
    fn warm_up_size(&self) -> Option<(usize, usize)> {
        let sizes = self.manifest().sizes.get(Kind::Image.name())?;
        let multiple = (sizes.multiple as usize).max(1);
        let side = |native: u32| (native as usize).min((MOST_SIDE / multiple).max(1) * multiple);
        match sizes.native[..] {
            [width, height] => Some((side(width), side(height))),
            _ => None,
        }
    }

    /// What looks like damaged weights is the GPU's fault: every byte of them was compared with its hash.
    fn blame(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::BadModel || self.device().kind() == device::Kind::Cpu {
            return error;
        }
        kernels::wrong_numbers(self.device().name(), error.to_string())
    }
}
