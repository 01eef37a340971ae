//! What threads read ahead is what the reader alone would have read, whatever is asked for after all.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::{bare_manifest, block_on, values};
use crate::error::{ErrorKind, Result};
use crate::quant::Format;
use crate::weights::{BlockingSource, ByteSource, CHUNK_BYTES, Folder, LocalFuture, RawTensor, Reader, Writer, folder};

/// Several chunks, parts of chunks, and more than one shard.
const LARGE: [(&str, [usize; 2], Format); 5] = [
    ("denoiser.a", [3000, 1100], Format::F32),
    ("denoiser.b", [40, 70], Format::Q4AB32),
    ("denoiser.c", [9000, 1200], Format::Q8B32),
    ("denoiser.d", [10, 64], Format::F16),
    ("denoiser.e", [16_000, 1100], Format::F32),
];

/// A folder that knows what was asked of it.
struct Counting {
    folder: Folder,
    asked: Arc<Mutex<Vec<(String, u64, usize)>>>,
}

struct Threads {
    folder: Folder,
    asked: Arc<Mutex<Vec<(String, u64, usize)>>>,
}

impl BlockingSource for Threads {
    fn fill(&self, path: &str, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.asked.lock().unwrap().push((path.to_owned(), offset, bytes.len()));
        self.folder.fill(path, offset, bytes)
    }
}

impl ByteSource for Counting {
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>> {
        self.folder.size(path)
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>> {
        self.folder.read(path, offset, length)
    }

    fn blocking(&self) -> Option<Arc<dyn BlockingSource>> {
        Some(Arc::new(Threads { folder: self.folder.clone(), asked: Arc::clone(&self.asked) }))
    }

    fn name(&self) -> String {
        self.folder.name()
    }
}

fn write_large_model(target: &Path) {
    let mut writer = Writer::new(target).unwrap();
    writer.add_file("text/tokenizer.json", b"{}").unwrap();
    writer.add("text.t", &[2], &[1.0, 2.0], Format::F32).unwrap();
    for (name, shape, format) in LARGE {
        writer.add(name, &shape, &values(name, shape.iter().product()), format).unwrap();
    }
    writer.add("decoders.image.in", &[2], &[3.0, 4.0], Format::F32).unwrap();
    writer.finish(bare_manifest()).unwrap();
}

/// All rows of every tensor, by halves.
fn halves() -> Vec<(&'static str, Range<usize>)> {
    let of = |(name, [rows, _], _): (&'static str, [usize; 2], Format)| [(name, 0..rows / 2), (name, rows / 2..rows)];
    LARGE.into_iter().flat_map(of).collect()
}

fn rows(reader: &Reader, wanted: &[(&str, Range<usize>)]) -> Result<Vec<RawTensor>> {
    wanted.iter().map(|(name, rows)| block_on(reader.raw_rows(name, rows.clone()))).collect()
}

#[test]
fn it_is_what_the_reader_alone_would_have_read() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("model");
    write_large_model(&path);
    let open = || block_on(Reader::open(Rc::new(folder(&path)))).unwrap();
    let announced = halves();
    let is_announced = || announced.iter().cloned();
    let mut backwards = announced.clone();
    backwards.reverse();
    let some: Vec<_> = announced.iter().step_by(3).cloned().collect();
    for asked in [&announced, &backwards, &some] {
        let expected = rows(&open(), asked).unwrap();
        let reader = open();
        reader.announce(is_announced());
        assert!(rows(&reader, asked).unwrap() == expected);
        // Chunks that were found good before, and a list that takes the place of another.
        reader.announce(is_announced());
        reader.announce(is_announced());
        assert!(rows(&reader, asked).unwrap() == expected);
    }
    // Nobody waits for threads that nobody asks.
    open().announce(is_announced());
}

#[test]
fn every_chunk_is_read_once() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("model");
    write_large_model(&path);
    let asked = Arc::default();
    let source = Counting { folder: folder(&path), asked: Arc::clone(&asked) };
    let reader = block_on(Reader::open(Rc::new(source))).unwrap();
    let whole: Vec<_> = LARGE.iter().map(|&(name, [rows, _], _)| (name, 0..rows)).collect();
    reader.announce(whole.iter().cloned());
    rows(&reader, &whole).unwrap();
    let mut asked = asked.lock().unwrap().clone();
    let count = asked.len();
    assert!(asked.iter().all(|(_, offset, length)| offset % CHUNK_BYTES == 0 && *length as u64 <= CHUNK_BYTES));
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), count);
    let shards = reader.manifest().files.iter().filter(|file| file.path.starts_with("denoiser"));
    let in_shards: u64 = shards.map(|file| file.bytes).sum();
    assert_eq!(asked.iter().map(|(_, _, length)| *length as u64).sum::<u64>(), in_shards);
}

#[test]
fn damage_is_named_as_without() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("model");
    write_large_model(&path);
    let open = || block_on(Reader::open(Rc::new(folder(&path)))).unwrap();
    let reader = open();
    let shard = path.join("denoiser-00001.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[2 * CHUNK_BYTES as usize + 5] ^= 1;
    std::fs::write(&shard, &bytes).unwrap();
    let alone = rows(&open(), &halves()).unwrap_err();
    reader.announce(halves().into_iter());
    let found = rows(&reader, &halves()).unwrap_err();
    assert_eq!((found.kind(), found.to_string()), (ErrorKind::Integrity, alone.to_string()));
    assert!(found.to_string().contains("chunk 2 (tensor denoiser.a)"), "{found}");

    let reader = open();
    std::fs::write(&shard, &bytes[..CHUNK_BYTES as usize + 9]).unwrap();
    reader.announce(halves().into_iter());
    assert_eq!(rows(&reader, &halves()).unwrap_err().kind(), ErrorKind::File);
}
