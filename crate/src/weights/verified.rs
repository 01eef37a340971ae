//! Reads ranges of a model's files, and hands out no byte whose chunk was not compared with its hash.
//!
//! A chunk is hashed when it is first touched. One chunk is kept, so reading tensors in the order in which they lie asks
//! the source for every byte once.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use crate::error::{Error, ErrorKind, Result};
use crate::weights::digest::{CHUNK_BYTES, FileDigest, chunk_range, sha256_hex};
use crate::weights::manifest::FileEntry;
use crate::weights::source::ByteSource;

pub(super) struct VerifiedFiles {
    source: Rc<dyn ByteSource>,
    files: Vec<FileEntry>,
    /// Which chunks of which file were found good.
    good: RefCell<Vec<Vec<bool>>>,
    last: RefCell<Option<Chunk>>,
}

struct Chunk {
    file: usize,
    range: Range<u64>,
    bytes: Vec<u8>,
}

impl VerifiedFiles {
    pub fn new(source: Rc<dyn ByteSource>, files: Vec<FileEntry>) -> Self {
        let good = files.iter().map(|file| vec![false; file.chunks.len()]).collect();
        Self { source, files, good: RefCell::new(good), last: RefCell::new(None) }
    }

    /// How many bytes were found good so far.
    pub fn verified(&self) -> u64 {
        let good = self.good.borrow();
        let chunks = good.iter().zip(&self.files).flat_map(|(good, file)| {
            good.iter()
                .enumerate()
                .filter(|(_, is_good)| **is_good)
                .map(|(chunk, _)| chunk_range(chunk as u64, file.bytes))
        });
        chunks.map(|range| range.end - range.start).sum()
    }

    /// The bytes of `file` in `range`, which lies in it. `purpose` is what a message says they are for.
    pub async fn read(&self, file: usize, range: Range<u64>, purpose: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        for chunk in range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES) {
            let in_chunk = chunk_range(chunk, self.files[file].bytes);
            let wanted = range.start.max(in_chunk.start)..range.end.min(in_chunk.end);
            self.append(file, chunk, wanted, &mut bytes, purpose).await?;
        }
        Ok(bytes)
    }

    /// Appends the bytes of `wanted`, a part of one chunk.
    async fn append(
        &self,
        file: usize,
        chunk: u64,
        wanted: Range<u64>,
        bytes: &mut Vec<u8>,
        purpose: &str,
    ) -> Result<()> {
        if let Some(last) = self.last.borrow().as_ref().filter(|last| last.file == file)
            && last.range.contains(&wanted.start)
        {
            bytes.extend_from_slice(last.part(&wanted));
            return Ok(());
        }
        let is_good = self.good.borrow()[file][chunk as usize];
        if is_good {
            bytes.extend(self.read_unchecked(file, wanted).await?);
            return Ok(());
        }
        self.last.take(); // Never two chunks in memory.
        let range = chunk_range(chunk, self.files[file].bytes);
        let found = Chunk { file, range: range.clone(), bytes: self.read_unchecked(file, range).await? };
        self.check_chunk(file, chunk, &sha256_hex(&found.bytes), purpose)?;
        bytes.extend_from_slice(found.part(&wanted));
        self.last.replace(Some(found));
        Ok(())
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
