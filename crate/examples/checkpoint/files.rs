//! Writes safetensors files in a stream: while a piece is written, the next one is drawn.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use flagdit::error::{Error, Result};
use serde_json::{Map, Value, json};

use crate::numbers::{self, Numbers};
use crate::tensors::Entry;

/// Numbers that are drawn at once.
const PIECE: u64 = 1 << 20;
/// Pieces that wait to be written.
const AHEAD: usize = 4;
/// Headers are padded to this.
const ALIGNMENT: usize = 8;

/// Writes the tensors into a new file, and says how long it became.
pub fn write(path: &Path, entries: &[Entry], seed: u64) -> Result<u64> {
    let failure = |error: io::Error| Error::file(path.display(), &error);
    let mut file = File::create_new(path).map_err(failure)?;
    let header = header(entries);
    file.write_all(&header).map_err(failure)?;
    let mut total = header.len() as u64;
    thread::scope(|scope| {
        let (give, pieces) = sync_channel(AHEAD);
        scope.spawn(move || draw(entries, seed, &give));
        for piece in pieces {
            file.write_all(&piece)?;
            total += piece.len() as u64;
        }
        Ok(total)
    })
    .map_err(failure)
}

/// All tensors, piece by piece, until nobody takes them any more.
fn draw(entries: &[Entry], seed: u64, give: &SyncSender<Vec<u8>>) {
    let mut values = vec![0.0; PIECE as usize];
    for entry in entries {
        let numbers = Numbers::new(&entry.name, entry.spread, seed);
        for first in (0..entry.count()).step_by(PIECE as usize) {
            let values = &mut values[..PIECE.min(entry.count() - first) as usize];
            numbers.fill(first, values);
            if give.send(numbers::bytes(values, entry.dtype)).is_err() {
                return;
            }
        }
    }
}

/// The header's length and the header, padded with spaces.
fn header(entries: &[Entry]) -> Vec<u8> {
    let mut table = Map::from_iter([("__metadata__".to_owned(), json!({ "format": "pt" }))]);
    let mut offset = 0;
    for entry in entries {
        let end = offset + entry.bytes();
        let place = json!({ "dtype": entry.dtype, "shape": entry.shape, "data_offsets": [offset, end] });
        table.insert(entry.name.clone(), place);
        offset = end;
    }
    let mut text = Value::Object(table).to_string();
    let padding = text.len().next_multiple_of(ALIGNMENT) - text.len();
    text.extend(std::iter::repeat_n(' ', padding));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// The tensors in files of at most so many bytes, in their order.
pub fn split(entries: &[Entry], most: u64) -> Vec<&[Entry]> {
    let mut bytes = 0;
    let mut starts = vec![0];
    for (place, entry) in entries.iter().enumerate() {
        if bytes > 0 && bytes + entry.bytes() > most {
            starts.push(place);
            bytes = 0;
        }
        bytes += entry.bytes();
    }
    let ends = starts.iter().skip(1).copied().chain([entries.len()]);
    starts.iter().zip(ends).map(|(start, end)| &entries[*start..end]).collect()
}

/// The index of several files, as transformers has it.
pub fn index(shards: &[&[Entry]], name: impl Fn(usize) -> String) -> Value {
    let files = shards.iter().enumerate().flat_map(|(index, shard)| shard.iter().map(move |entry| (index, entry)));
    let map: Map<_, _> = files.map(|(index, entry)| (entry.name.clone(), name(index).into())).collect();
    let total: u64 = shards.iter().flat_map(|shard| shard.iter().map(Entry::bytes)).sum();
    json!({ "metadata": { "total_size": total }, "weight_map": map })
}
