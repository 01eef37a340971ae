//! Stored tensors → f32, by several threads behind the one that reads and hashes them.
//!
//! ```text
//! read, hash (one thread) ─► expand, arrange (threads) ─► f32, in the order in which they were given
//! ```
//!
//! What was given and not yet taken is bounded. Where there are no threads (WebAssembly) a tensor is expanded as it is given,
//! and taken before the next one.

use std::{
    collections::VecDeque,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

use half::{f16, slice::HalfFloatSliceExt};

use super::{RawData, RawTensor};
use crate::{
    error::{Error, Result},
    quant::{decode, decode_columns},
};

/// More threads than this would wait for the one that hashes.
const MOST_THREADS: usize = 8;
/// Bytes of stored tensors that may wait, unless one alone has more.
const MOST_WAITING: usize = 64 << 20;
/// Rows and columns that are turned at once: what is written for one column is a cache line.
const TILE: [usize; 2] = [16, 32];

/// How the values of a matrix lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Row after row.
    Rows,
    /// Column after column.
    Columns,
}

/// A tensor that was expanded.
#[derive(Debug, PartialEq)]
pub(super) struct Expanded {
    pub name: String,
    /// Its logical shape, whatever the order.
    pub shape: Vec<usize>,
    pub order: Order,
    pub values: Vec<f32>,
}

struct Job {
    name: String,
    tensor: RawTensor,
    order: Order,
    answer: SyncSender<Result<Expanded>>,
}

/// Expands tensors.
pub(super) struct Expander {
    give: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    waiting: VecDeque<(usize, Receiver<Result<Expanded>>)>,
}

impl Expander {
    /// With a thread a core.
    pub fn new() -> Self {
        // WebAssembly answers with an error.
        let threads = thread::available_parallelism().map_or(0, NonZero::get).min(MOST_THREADS);
        let (give, taken) = channel();
        let taken = Arc::new(Mutex::new(taken));
        let thread = |_| {
            let taken = Arc::clone(&taken);
            thread::spawn(move || work(&taken))
        };
        let give = (threads > 0).then_some(give);
        Self { give, threads: (0..threads).map(thread).collect(), waiting: VecDeque::new() }
    }

    /// One more. What is no matrix has one order only.
    pub fn give(&mut self, name: &str, tensor: RawTensor, order: Order) {
        let bytes = tensor.data.bytes();
        let (answer, waiting) = sync_channel(1);
        let job = Job { name: name.to_owned(), tensor, order, answer };
        match &self.give {
            // It fails if all threads have ended, which the missing answer will tell.
            Some(give) => drop(give.send(job)),
            None => job.run(),
        }
        self.waiting.push_back((bytes, waiting));
    }

    /// Whether nothing should be given before something was taken.
    pub fn is_full(&self) -> bool {
        let gains_nothing = self.threads.is_empty() && !self.waiting.is_empty();
        gains_nothing
            || self.waiting.len() > 1 && self.waiting.iter().map(|(bytes, _)| bytes).sum::<usize>() > MOST_WAITING
    }

    /// The first that was given and not yet taken.
    ///
    /// # Errors
    /// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if its codes, scales or minima are not as they should be.
    pub fn take(&mut self) -> Option<Result<Expanded>> {
        let (_, waiting) = self.waiting.pop_front()?;
        Some(waiting.recv().expect("a thread ends after its answer, but for a bug that it has told"))
    }
}

impl Drop for Expander {
    fn drop(&mut self) {
        self.give.take(); // Ends the threads.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Does jobs until there are no more.
fn work(jobs: &Mutex<Receiver<Job>>) {
    // A statement of its own: the lock is held while a job is waited for, not while it is done.
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(job) = next() {
        job.run();
    }
}

impl Job {
    fn run(self) {
        let Self { name, tensor, order, answer } = self;
        // Nobody waits for it any more if another tensor has failed.
        let _ = answer.send(expand(name, tensor, order));
    }
}

/// One tensor, at once.
pub(super) fn expand(name: String, tensor: RawTensor, order: Order) -> Result<Expanded> {
    let RawTensor { shape, format, data } = tensor;
    let (rows, cols) = (shape.first().copied().unwrap_or(1), shape.iter().skip(1).product());
    let damaged = |error: Error| Error::bad_model(format!("tensor {name}")).found(error.to_string());
    let values = match (data, order) {
        (RawData::F32(values), Order::Rows) => values,
        (RawData::F32(values), Order::Columns) => {
            turned(rows, cols, &values, |part, values| values.copy_from_slice(part))
        }
        (RawData::F16(values), Order::Rows) => values.to_f32_vec(),
        (RawData::F16(values), Order::Columns) => {
            turned(rows, cols, &values, |part: &[f16], values| part.convert_to_f32_slice(values))
        }
        (RawData::Quantized(encoded), Order::Rows) => decode(&encoded, rows, cols, format).map_err(damaged)?,
        (RawData::Quantized(encoded), Order::Columns) => {
            decode_columns(&encoded, rows, cols, format).map_err(damaged)?
        }
    };
    Ok(Expanded { name, shape, order, values })
}

/// A matrix `[rows, cols]` as `[cols, rows]`, tile by tile; `convert` makes f32 of a piece of a row.
fn turned<T>(rows: usize, cols: usize, matrix: &[T], convert: impl Fn(&[T], &mut [f32])) -> Vec<f32> {
    let mut values = vec![0.0; rows * cols];
    let mut tile = [[0.0; TILE[1]]; TILE[0]];
    for left in (0..cols).step_by(TILE[1]) {
        let width = TILE[1].min(cols - left);
        for top in (0..rows).step_by(TILE[0]) {
            let height = TILE[0].min(rows - top);
            for (row, line) in tile[..height].iter_mut().enumerate() {
                convert(&matrix[(top + row) * cols + left..][..width], &mut line[..width]);
            }
            for column in 0..width {
                let target = &mut values[(left + column) * rows + top..][..height];
                target.iter_mut().zip(&tile).for_each(|(value, line)| *value = line[column]);
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::{Format, encode, tests::Random};

    /// Ragged, smaller than a tile, and larger.
    const SHAPES: [[usize; 2]; 6] = [[1, 1], [16, 32], [17, 33], [5, 100], [70, 31], [129, 257]];

    fn raw(values: &[f32], [rows, cols]: [usize; 2], format: Format) -> RawTensor {
        let data = match format {
            Format::F32 => RawData::F32(values.to_vec()),
            Format::F16 => RawData::F16(values.iter().map(|value| f16::from_f32(*value)).collect()),
            _ => RawData::Quantized(encode(values, rows, cols, format).unwrap()),
        };
        RawTensor { shape: vec![rows, cols], format, data }
    }

    #[test]
    fn columns_are_the_rows_turned() {
        let mut random = Random(3);
        for [rows, cols] in SHAPES {
            let values: Vec<f32> = (0..rows * cols).map(|_| random.uniform()).collect();
            for format in Format::ALL {
                let [by_rows, by_columns] = [Order::Rows, Order::Columns]
                    .map(|order| expand("a".to_owned(), raw(&values, [rows, cols], format), order).unwrap().values);
                for (place, value) in by_columns.iter().enumerate() {
                    let (column, row) = (place / rows, place % rows);
                    assert_eq!(*value, by_rows[row * cols + column], "{format} [{rows}, {cols}] at {row}, {column}");
                }
            }
        }
    }

    #[test]
    fn what_is_given_is_taken_in_order_and_failures_stand_in_their_places() {
        let mut random = Random(5);
        let mut expander = Expander::new();
        let names: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            let shape = [1 + number * 7 % 50, 64];
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| random.uniform()).collect();
            let mut tensor = raw(&values, shape, Format::Q4B32);
            if let (13, RawData::Quantized(encoded)) = (number, &mut tensor.data) {
                encoded.scales[0] = f16::NAN;
            }
            expander.give(name, tensor, Order::Columns);
        }
        assert!(!expander.is_full());
        for (number, name) in names.iter().enumerate() {
            match expander.take().expect("as many as were given") {
                Ok(expanded) => assert_eq!((&expanded.name, expanded.shape[0]), (name, 1 + number * 7 % 50)),
                Err(error) => assert!(number == 13 && error.to_string().contains("tensor t13"), "{error}"),
            }
        }
        assert!(expander.take().is_none());
    }

    #[test]
    fn a_few_large_tensors_are_enough() {
        let mut expander = Expander::new();
        let large = || RawTensor {
            shape: vec![MOST_WAITING / 4 + 1],
            format: Format::F32,
            data: RawData::F32(vec![0.5; MOST_WAITING / 4 + 1]),
        };
        expander.give("a", large(), Order::Rows);
        assert!(!expander.is_full(), "one alone always fits");
        expander.give("b", large(), Order::Rows);
        assert!(expander.is_full());
    }
}
