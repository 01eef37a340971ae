//! SHA-256 of a whole file and of each of its 4 MiB chunks.

use std::fmt::Write as _;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

/// Bytes a chunk; the last chunk of a file may be shorter.
pub const CHUNK_BYTES: u64 = 4 << 20;

/// How many chunks a file of `bytes` has.
pub(super) fn chunk_count(bytes: u64) -> u64 {
    bytes.div_ceil(CHUNK_BYTES)
}

/// Where chunk number `chunk` of a file of `bytes` lies.
pub(super) fn chunk_range(chunk: u64, bytes: u64) -> Range<u64> {
    let start = chunk * CHUNK_BYTES;
    start..bytes.min(start + CHUNK_BYTES)
}

/// The SHA-256 of `bytes` in lower-case hexadecimal digits.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Hashes a file that arrives piece by piece.
#[derive(Default)]
pub(super) struct FileDigest {
    bytes: u64,
    file: Sha256,
    chunk: Sha256,
    chunks: Vec<String>,
}

impl FileDigest {
    pub fn update(&mut self, mut piece: &[u8]) {
        self.file.update(piece);
        while !piece.is_empty() {
            let room = CHUNK_BYTES - self.bytes % CHUNK_BYTES;
            let (now, later) = piece.split_at(piece.len().min(room as usize));
            self.chunk.update(now);
            self.bytes += now.len() as u64;
            if self.bytes.is_multiple_of(CHUNK_BYTES) {
                self.chunks.push(hex(&self.chunk.finalize_reset()));
            }
            piece = later;
        }
    }

    /// The length, the hash of the whole file, and those of its chunks.
    pub fn finish(mut self) -> (u64, String, Vec<String>) {
        if !self.bytes.is_multiple_of(CHUNK_BYTES) {
            self.chunks.push(hex(&self.chunk.finalize()));
        }
        (self.bytes, hex(&self.file.finalize()), self.chunks)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing into a String cannot fail.
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_give_the_hashes_of_the_chunks() {
        assert!(sha256_hex(b"abc").starts_with("ba7816bf8f01cfea"));
        let file: Vec<u8> = (0..CHUNK_BYTES as usize * 2 + 5).map(|index| (index % 251) as u8).collect();
        for length in [file.len(), CHUNK_BYTES as usize, 1_000_003] {
            let mut digest = FileDigest::default();
            file.chunks(length).for_each(|piece| digest.update(piece));
            let expected: Vec<_> = file.chunks(CHUNK_BYTES as usize).map(sha256_hex).collect();
            assert_eq!(digest.finish(), (file.len() as u64, sha256_hex(&file), expected));
        }
        assert_eq!(FileDigest::default().finish().2.len() as u64, chunk_count(0));
    }
}
