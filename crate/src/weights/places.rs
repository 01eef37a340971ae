//! Where in its files a tensor lies, and in which order its bytes are read.

use std::ops::Range;

use crate::quant::Format;
use crate::weights::Reader;
use crate::weights::header::HeaderTensor;
use crate::weights::manifest::{Part, TensorEntry};
use crate::weights::reader::Shard;
use crate::weights::stored::{CODES, MINS, SCALES};

impl Reader {
    /// Tells which rows of which tensors [`Self::raw_rows`] will be asked for, in this order: threads read and hash ahead where
    /// the source lets them, until another such list comes.
    pub fn announce<'a>(&self, wanted: impl Iterator<Item = (&'a str, Range<usize>)>) {
        let mut is_confirmed: Vec<bool> =
            self.shards.iter().map(|shard| shard.as_ref().is_none_or(|shard| shard.is_confirmed.get())).collect();
        let mut ranges = Vec::new();
        for (name, rows) in wanted {
            let Some(entry) = self.manifest.tensors.get(name) else { continue };
            for ending in endings(entry.format) {
                let stored_name = format!("{name}{ending}");
                for (part, wanted) in parts_of(entry, &rows) {
                    let Some(Shard { header, .. }) = &self.shards[part.file] else { continue };
                    if !std::mem::replace(&mut is_confirmed[part.file], true) {
                        ranges.push((part.file, 0..header.data_start));
                    }
                    let Some(stored) = header.tensors.get(&stored_name) else { continue };
                    ranges.push((part.file, range_of(stored, &part, &wanted)));
                }
            }
        }
        self.files.announce(&ranges);
    }
}

/// The endings of the names under which a tensor of this format is stored, in the order in which they are read.
pub(super) fn endings(format: Format) -> &'static [&'static str] {
    match (format.is_quantized(), format.has_min()) {
        (true, true) => &[CODES, SCALES, MINS],
        (true, false) => &[CODES, SCALES],
        (false, _) => &[""],
    }
}

/// The parts of a tensor in which these rows lie, each with those that lie there.
pub(super) fn parts_of(entry: &TensorEntry, rows: &Range<usize>) -> impl Iterator<Item = (Part, Range<usize>)> {
    let Range { start, end } = rows.clone();
    let of_part = move |part: Part| {
        let wanted = start.max(part.rows[0])..end.min(part.rows[1]);
        (!wanted.is_empty()).then_some((part, wanted))
    };
    entry.row_parts().into_iter().filter_map(of_part)
}

/// Where these rows of a part lie in its file. An entry has whole rows.
pub(super) fn range_of(stored: &HeaderTensor, part: &Part, rows: &Range<usize>) -> Range<u64> {
    let row_bytes = stored.bytes / part.rows().len() as u64;
    let start = stored.offset + (rows.start - part.rows[0]) as u64 * row_bytes;
    start..start + rows.len() as u64 * row_bytes
}
