//! Chunks that are read and hashed ahead of who asks for them, by threads of their own.
//!
//! ```text
//! read, hash (threads, in turn) ─► chunks in the order in which they will be asked for ─► numbers, device
//! ```
//!
//! A thread has one chunk in its hands and one that waits, so what lies in memory is bounded.

use std::collections::{HashSet, VecDeque};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::error::Result;
use crate::weights::digest::{chunk_range, sha256_hex};
use crate::weights::manifest::FileEntry;
use crate::weights::source::BlockingSource;

/// More threads than this read no faster than a disk does.
const MOST_THREADS: usize = 4;
/// Who asks for another chunk than the next one may have left out so many.
const MOST_LEFT_OUT: usize = 8;

/// A chunk: the number of its file, and its own.
pub(super) type Place = (usize, u64);

/// What a thread found in a place.
pub(super) struct Found {
    pub bytes: Vec<u8>,
    /// Of the bytes, but not if the same chunk came before.
    pub sha256: Option<String>,
}

/// Chunks to come.
pub(super) struct Ahead {
    order: VecDeque<Place>,
    threads: Vec<Receiver<Result<Found>>>,
    /// Whose turn it is.
    turn: usize,
}

/// What one thread does.
struct Task {
    source: Arc<dyn BlockingSource>,
    files: Arc<[FileEntry]>,
    /// Whether a chunk is to be hashed stands beside its place.
    places: Vec<(Place, bool)>,
}

impl Ahead {
    /// Begins to read chunks in this order, one that follows itself being read once. `good` ones need no hash. Nothing where
    /// there are no threads.
    pub fn begin(
        source: &Arc<dyn BlockingSource>,
        files: &Arc<[FileEntry]>,
        places: impl IntoIterator<Item = Place>,
        good: impl Fn(Place) -> bool,
    ) -> Option<Self> {
        let mut order: Vec<Place> = places.into_iter().collect();
        order.dedup();
        let mut seen = HashSet::new();
        let hashed: Vec<(Place, bool)> =
            order.iter().map(|&place| (place, !good(place) && seen.insert(place))).collect();
        let count = thread::available_parallelism().map_or(1, NonZero::get).clamp(1, MOST_THREADS);
        let start = |first: usize| {
            let places = hashed.iter().skip(first).step_by(count).copied().collect();
            let task = Task { source: Arc::clone(source), files: Arc::clone(files), places };
            let (sender, receiver) = sync_channel(1);
            thread::Builder::new().spawn(move || task.run(&sender)).ok()?;
            Some(receiver)
        };
        let threads: Vec<_> = (0..count).map(start).collect::<Option<_>>()?;
        Some(Self { order: order.into(), threads, turn: 0 })
    }

    /// The chunk in this place, if it is among the next.
    pub fn take(&mut self, place: Place) -> Option<Result<Found>> {
        let left_out = self.order.iter().take(MOST_LEFT_OUT).position(|&next| next == place)?;
        (0..left_out).for_each(|_| drop(self.next()));
        self.next()
    }

    /// Whether all were taken.
    pub fn is_over(&self) -> bool {
        self.order.is_empty()
    }

    fn next(&mut self) -> Option<Result<Found>> {
        self.order.pop_front()?;
        let thread = self.turn;
        self.turn = (thread + 1) % self.threads.len();
        Some(self.threads[thread].recv().expect("a thread ends after its last chunk, but for a bug that it has told"))
    }
}

impl Task {
    /// Reads until all was read, or nobody wants more.
    fn run(&self, sender: &SyncSender<Result<Found>>) {
        for &(place, is_new) in &self.places {
            if sender.send(self.read(place, is_new)).is_err() {
                return;
            }
        }
    }

    fn read(&self, (file, chunk): Place, is_new: bool) -> Result<Found> {
        let file = &self.files[file];
        let range = chunk_range(chunk, file.bytes);
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.source.fill(&file.path, range.start, &mut bytes)?;
        let sha256 = is_new.then(|| sha256_hex(&bytes));
        Ok(Found { bytes, sha256 })
    }
}
