//! Tensors are read and packed by several threads, ahead of the one that writes them in their order.
//!
//! ```text
//! jobs, in order ─► threads: read rows → pack them ─► answers, in order ─► shards: hash, write
//! ```
//!
//! So many jobs are given out, and one more for every answer that was taken: that bounds what is in memory.

use std::{
    collections::VecDeque,
    num::NonZero,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use super::{
    Progress,
    network::{Network, Tensor},
};
use crate::{
    error::{Error, Result},
    weights::{
        Packed, Packing, Writer,
        recipe::{Rule, format_for},
    },
};

/// More threads than this would wait for the one that writes.
const MOST_THREADS: usize = 8;
/// Jobs a thread that are given out: one that it does, one that it takes when it is done.
const JOBS_A_THREAD: usize = 2;

/// A tensor of a checkpoint, and how it is packed.
pub(super) struct Planned<'a> {
    network: &'a Network,
    tensor: &'a Tensor,
    packing: Packing,
}

/// Rows to be read and packed, and where they are waited for.
struct Job<'a> {
    planned: &'a Planned<'a>,
    rows: Range<usize>,
    answer: SyncSender<Result<Packed>>,
}

/// How the tensors of `networks` are packed, in the order in which they are written.
///
/// # Errors
///
/// `bad-request` if no rule fits a tensor, `bad-model` if one has a name or shape that a manifest cannot have.
pub(super) fn packings<'a>(networks: &'a [Network], rules: &[Rule]) -> Result<Vec<Planned<'a>>> {
    let tensors = networks.iter().flat_map(|network| network.tensors().iter().map(move |tensor| (network, tensor)));
    tensors
        .map(|(network, tensor)| {
            let format = format_for(rules, &tensor.name).ok_or_else(|| {
                Error::bad_request("recipe").expected(format!("a rule for {}", tensor.name)).found("none")
            })?;
            Ok(Planned { network, tensor, packing: Packing::new(&tensor.name, &tensor.shape, format)? })
        })
        .collect()
}

/// Writes `tensors`, and tells `progress` after every piece.
///
/// # Errors
///
/// The first, in the order of the tensors, of reading, packing and writing, or of `progress`.
pub(super) fn write(
    tensors: &[Planned],
    writer: &mut Writer,
    progress: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<()> {
    let mut state = Progress { read: 0, total: tensors.iter().map(|planned| planned.tensor.bytes).sum() };
    progress(state)?;
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let (give, taken) = channel();
    let taken = Mutex::new(taken);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&taken));
        }
        // Dropped at the end and with an error, which ends the threads.
        let mut ahead = Ahead::new(tensors, give, threads * JOBS_A_THREAD);
        for planned in tensors {
            let before = state.read;
            writer.add_packed(&planned.packing, |rows| {
                let packed = ahead.next()?;
                state.read = before + planned.bytes_before(rows.end);
                progress(state)?;
                Ok(packed)
            })?;
        }
        Ok(())
    })
}

impl Planned<'_> {
    /// Bytes, as they are stored upstream, of the rows before `row`.
    fn bytes_before(&self, row: usize) -> u64 {
        self.tensor.bytes / self.packing.rows() as u64 * row as u64
    }

    fn read_and_pack(&self, rows: Range<usize>) -> Result<Packed> {
        let values = self.network.read(self.tensor, rows.clone())?;
        self.packing.pack(rows, &values)
    }
}

/// Does jobs until there are no more.
fn work(jobs: &Mutex<Receiver<Job>>) {
    // A statement of its own: the lock is held while a job is waited for, not while it is done.
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Job { planned, rows, answer }) = next() {
        // Nobody waits for it any more if the writer has failed.
        let _ = answer.send(planned.read_and_pack(rows));
    }
}

/// The jobs that are given out, in order.
struct Ahead<'a> {
    left: Box<dyn Iterator<Item = (&'a Planned<'a>, Range<usize>)> + 'a>,
    give: Sender<Job<'a>>,
    answers: VecDeque<Receiver<Result<Packed>>>,
}

impl<'a> Ahead<'a> {
    fn new(tensors: &'a [Planned<'a>], give: Sender<Job<'a>>, jobs: usize) -> Self {
        let left = tensors.iter().flat_map(|planned| planned.packing.chunks().map(move |rows| (planned, rows)));
        let mut ahead = Self { left: Box::new(left), give, answers: VecDeque::new() };
        (0..jobs).for_each(|_| ahead.give_one());
        ahead
    }

    fn give_one(&mut self) {
        if let Some((planned, rows)) = self.left.next() {
            let (answer, waiting) = sync_channel(1);
            // It fails if all threads have ended, which the missing answer will tell.
            let _ = self.give.send(Job { planned, rows, answer });
            self.answers.push_back(waiting);
        }
    }

    /// The rows that come next.
    fn next(&mut self) -> Result<Packed> {
        let waiting = self.answers.pop_front().expect("as many jobs as pieces are asked for");
        let answer = waiting.recv().expect("a thread ends after its answer, but for a bug that it has told");
        self.give_one();
        answer
    }
}
