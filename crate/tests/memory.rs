//! Networks that do not fit together: what is told while they come one after the other, and that each comes once.

use std::{cell::Cell, rc::Rc, sync::Arc};

use flagdit::{
    Device, Pipeline, Request,
    error::Result,
    plan::{Blueprint, Plan},
    progress::{Event, Image, Stage},
    weights::{self, BlockingSource, ByteSource, Folder, LocalFuture},
};
use futures_util::{StreamExt, pin_mut};

const TOYBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights-quantized/toybox");

/// The model that ships; it counts the bytes that are read of its denoiser.
struct Counting(Folder, Rc<Cell<u64>>);

impl ByteSource for Counting {
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>> {
        self.0.size(path)
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>> {
        if path.starts_with("denoiser") {
            self.1.set(self.1.get() + length as u64);
        }
        self.0.read(path, offset, length)
    }

    fn blocking(&self) -> Option<Arc<dyn BlockingSource>> {
        None
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

fn request() -> Request {
    let mut request = Request::image("a red star", 64, 64).seed(3).steps(4);
    request.preview_every = 1;
    request
}

/// What is needed of memory to sample and decode by turns, and to show previews between.
fn needs() -> [u64; 2] {
    let manifest = std::fs::read(format!("{TOYBOX}/manifest.json")).expect("the model that ships");
    let blueprint = Blueprint::parse(&manifest).expect("a whole model");
    let settings = blueprint.settings(&request()).expect("a request of it");
    let plan = Plan::new(&blueprint, &settings, Device::cpu().capacity()).expect("a plan");
    let [encode, sample, decode] = [Stage::Encode, Stage::Sample, Stage::Decode].map(|stage| plan.stage(stage));
    let alone = [encode, sample, decode].map(|stage| stage.bytes()).into_iter().max().expect("stages");
    let both = sample.weights + decode.weights + sample.working.max(decode.working);
    assert!(alone < both && both < both + encode.weights);
    [alone, both]
}

#[derive(Default)]
struct Heard {
    previews: usize,
    warnings: Vec<String>,
    /// Bytes done and in all, as they were told.
    loads: Vec<(u64, u64)>,
}

fn make(pipeline: &Pipeline) -> (Image, Heard) {
    let mut heard = Heard::default();
    let picture = pollster::block_on(async {
        let events = pipeline.generate(request());
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event.expect("every event is good") {
                Event::Preview(_) => heard.previews += 1,
                Event::Warning(warning) => heard.warnings.push(warning),
                Event::Load(progress) => heard.loads.push((progress.loaded, progress.total)),
                Event::Done(output) => return output.frames[0].clone(),
                Event::Stage(_) | Event::Step { .. } | Event::Decode { .. } => {}
            }
        }
        panic!("no picture came")
    });
    (picture, heard)
}

fn open(memory: Option<u64>) -> (Pipeline, Rc<Cell<u64>>) {
    let read = Rc::new(Cell::new(0));
    let source = Counting(weights::folder(TOYBOX), Rc::clone(&read));
    let pipeline = pollster::block_on(Pipeline::open(source, Device::cpu().within(memory))).expect("it opens");
    (pipeline, read)
}

#[test]
fn a_denoiser_at_work_is_not_freed_for_a_preview() {
    let [alone, both] = needs();
    let (expected, heard) = make(&open(None).0);
    assert_eq!((heard.previews, heard.loads.len()), (3, 0));

    let (pipeline, read) = open(Some(both));
    let (picture, heard) = make(&pipeline);
    assert_eq!((picture, heard.previews, heard.warnings), (expected.clone(), 3, Vec::new()));
    let once = read.get();
    // The prompt is known, so the text encoder takes no place either.
    let (picture, heard) = make(&pipeline);
    assert_eq!((picture, read.get(), heard.loads), (expected.clone(), once, Vec::new()));

    let (pipeline, _) = open(Some(alone));
    let (picture, heard) = make(&pipeline);
    assert_eq!((picture, heard.previews, heard.warnings.len()), (expected, 0, 1));
    assert!(heard.warnings[0].starts_with("no previews: "), "{}", heard.warnings[0]);
}

#[test]
fn networks_that_come_one_after_the_other_tell_how_far_they_are() {
    let [alone, _] = needs();
    let (_, heard) = make(&open(Some(alone)).0);
    let ends = heard.loads.iter().filter(|(loaded, total)| loaded == total).count();
    assert_eq!(ends, 3, "{:?}", heard.loads);
    assert!(heard.loads.len() > 30, "{:?}", heard.loads);
    let is_forward = |pair: &[(u64, u64)]| pair[0].1 != pair[1].1 || pair[0].0 < pair[1].0;
    assert!(heard.loads.windows(2).all(is_forward), "{:?}", heard.loads);
}
