//! Reads ranges of a model's files, and hands out no byte whose chunk was not compared with its hash.
//!
//! A chunk is hashed when it is first touched: where all of it is wanted in the place where it is wanted. One chunk that was
//! not is kept, so reading tensors in the order in which they lie asks the source for every byte once. Where the source can be
//! read by threads ([`BlockingSource`](super::source::BlockingSource)), what is announced is read and hashed [`Ahead`].

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::weights::ahead::{Ahead, Found};
use crate::weights::digest::{CHUNK_BYTES, FileDigest, chunk_range, sha256_hex};
use crate::weights::manifest::FileEntry;
use crate::weights::source::ByteSource;

pub(super) struct VerifiedFiles {
    source: Rc<dyn ByteSource>,
    files: Arc<[FileEntry]>,
    /// Which chunks of which file were found good.
    good: RefCell<Vec<Vec<bool>>>,
    last: RefCell<Option<Chunk>>,
    /// What was announced.
    ahead: RefCell<Option<Ahead>>,
}

struct Chunk {
    file: usize,
    range: Range<u64>,
    bytes: Vec<u8>,
}

impl VerifiedFiles {
    pub fn new(source: Rc<dyn ByteSource>, files: Vec<FileEntry>) -> Self {
        let good = files.iter().map(|file| vec![false; file.chunks.len()]).collect();
        let (good, last, ahead) = (RefCell::new(good), RefCell::new(None), RefCell::new(None));
        Self { source, files: files.into(), good, last, ahead }
    }

    /// Tells which ranges of files will be read, in this order.
    pub fn announce(&self, ranges: &[(usize, Range<u64>)]) {
        let Some(source) = self.source.blocking() else { return };
        let chunks = |(file, range): &(usize, Range<u64>)| {
            let file = *file;
            (range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES)).map(move |chunk| (file, chunk))
        };
        let good = self.good.borrow();
        let is_good = |(file, chunk): (usize, u64)| good[file][chunk as usize];
        self.ahead.replace(Ahead::begin(&source, &self.files, ranges.iter().flat_map(chunks), is_good));
    }

    /// How many bytes were found good so far.
    pub fn verified(&self) -> u64 {
        self.verified_with(&[])
    }

    /// How many it will be once these ranges of files were read, too.
    pub fn verified_with(&self, ranges: &[(usize, Range<u64>)]) -> u64 {
        let mut good = self.good.borrow().clone();
        for (file, range) in ranges {
            good[*file][(range.start / CHUNK_BYTES) as usize..range.end.div_ceil(CHUNK_BYTES) as usize].fill(true);
        }
        let bytes = |chunk: usize, file: &FileEntry| {
            let range = chunk_range(chunk as u64, file.bytes);
            range.end - range.start
        };
        let of_file = |(good, file): (&Vec<bool>, &FileEntry)| -> u64 {
            good.iter().enumerate().filter(|(_, is_good)| **is_good).map(|(chunk, _)| bytes(chunk, file)).sum()
        };
        good.iter().zip(&*self.files).map(of_file).sum()
    }

    /// The bytes of `file` in `range`, which lies in it. `purpose` is what a message says they are for.
    pub async fn read(&self, file: usize, range: Range<u64>, purpose: &str) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read_into(file, range.start, &mut bytes, purpose).await?;
        Ok(bytes)
    }

    /// The bytes of `file` from `start` on, which has as many as `bytes` takes.
    pub async fn read_into(&self, file: usize, start: u64, mut bytes: &mut [u8], purpose: &str) -> Result<()> {
        let end = start + bytes.len() as u64;
        for chunk in start / CHUNK_BYTES..end.div_ceil(CHUNK_BYTES) {
            let in_chunk = chunk_range(chunk, self.files[file].bytes);
            let wanted = start.max(in_chunk.start)..end.min(in_chunk.end);
            let (part, rest) = bytes.split_at_mut((wanted.end - wanted.start) as usize);
            self.fill(file, chunk, wanted, part, purpose).await?;
            bytes = rest;
        }
        Ok(())
    }

    /// Fills `bytes` with those of `wanted`, a part of one chunk.
    async fn fill(&self, file: usize, chunk: u64, wanted: Range<u64>, bytes: &mut [u8], purpose: &str) -> Result<()> {
        if let Some(last) = self.last.borrow().as_ref().filter(|last| last.file == file)
            && last.range.contains(&wanted.start)
        {
            bytes.copy_from_slice(last.part(&wanted));
            return Ok(());
        }
        let range = chunk_range(chunk, self.files[file].bytes);
        let is_good = self.good.borrow()[file][chunk as usize];
        if let Some(found) = self.announced(file, chunk) {
            let Found { bytes: found, sha256 } = found?;
            if !is_good {
                self.check_chunk(file, chunk, &sha256.unwrap_or_else(|| sha256_hex(&found)), purpose)?;
            }
            let found = Chunk { file, range, bytes: found };
            bytes.copy_from_slice(found.part(&wanted));
            self.last.replace(Some(found));
            return Ok(());
        }
        if is_good || wanted == range {
            self.source.read_into(&self.files[file].path, wanted.start, bytes).await?;
            return if is_good { Ok(()) } else { self.check_chunk(file, chunk, &sha256_hex(bytes), purpose) };
        }
        // Never two chunks in memory, and the place of the last serves again.
        let mut found = self.last.take().map(|last| last.bytes).unwrap_or_default();
        found.resize((range.end - range.start) as usize, 0);
        self.source.read_into(&self.files[file].path, range.start, &mut found).await?;
        self.check_chunk(file, chunk, &sha256_hex(&found), purpose)?;
        let found = Chunk { file, range, bytes: found };
        bytes.copy_from_slice(found.part(&wanted));
        self.last.replace(Some(found));
        Ok(())
    }

    /// The chunk as it was read ahead, if it was announced.
    fn announced(&self, file: usize, chunk: u64) -> Option<Result<Found>> {
        let mut ahead = self.ahead.borrow_mut();
        let found = ahead.as_mut()?.take((file, chunk));
        if ahead.as_ref().is_some_and(Ahead::is_over) {
            ahead.take();
        }
        found
    }

    /// Compares every chunk and every file with its hash; `progress` is told bytes done and bytes in all.
    pub async fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
        let total = self.files.iter().map(|file| file.bytes).sum();
        let mut done = 0;
        for (index, file) in self.files.iter().enumerate() {
            let mut digest = FileDigest::default();
            for chunk in 0..file.chunks.len() as u64 {
                let bytes = self.read_unchecked(index, chunk_range(chunk, file.bytes)).await?;
                self.check_chunk(index, chunk, &sha256_hex(&bytes), "")?;
                digest.update(&bytes);
                done += bytes.len() as u64;
                progress(done, total);
            }
            let (_, found, _) = digest.finish();
            if found != file.sha256 {
                return Err(self.mismatch(file.path.clone(), &file.sha256, &found));
            }
        }
        Ok(())
    }

    /// Bytes straight from the source, only counted.
    pub async fn read_unchecked(&self, file: usize, range: Range<u64>) -> Result<Vec<u8>> {
        let path = &self.files[file].path;
        let length = (range.end - range.start) as usize;
        let bytes = self.source.read(path, range.start, length).await?;
        if bytes.len() != length {
            return Err(Error::new(ErrorKind::File, format!("{path} in {}", self.source.name()))
                .expected(format!("{length} bytes at {}", range.start))
                .found(bytes.len().to_string()));
        }
        Ok(bytes)
    }

    fn check_chunk(&self, file: usize, chunk: u64, found: &str, purpose: &str) -> Result<()> {
        let entry = &self.files[file];
        let expected = &entry.chunks[chunk as usize];
        if found != expected {
            let purpose = if purpose.is_empty() { String::new() } else { format!(" ({purpose})") };
            return Err(self.mismatch(format!("{}: chunk {chunk}{purpose}", entry.path), expected, found));
        }
        self.good.borrow_mut()[file][chunk as usize] = true;
        Ok(())
    }

    fn mismatch(&self, subject: String, expected: &str, found: &str) -> Error {
        Error::new(ErrorKind::Integrity, subject)
            .expected(format!("SHA-256 {expected}"))
            .found(found)
            .remedy(format!("the file in {} is damaged: download it again", self.source.name()))
    }
}

impl Chunk {
    fn part(&self, wanted: &Range<u64>) -> &[u8] {
        let start = self.range.start;
        &self.bytes[(wanted.start - start) as usize..(wanted.end - start) as usize]
    }
}
