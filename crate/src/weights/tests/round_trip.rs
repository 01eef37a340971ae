//! What is written is what is read: values, bytes, files, chunks.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use safetensors::SafeTensors;

use super::{TENSORS, bare_manifest, block_on, small_model, values, write_small_model};
use crate::error::{ErrorKind, Result};
use crate::quant::{Format, decode, encode};
use crate::weights::header;
use crate::weights::{
    BlockingSource, ByteSource, CHUNK_BYTES, LocalFuture, MANIFEST, Manifest, Memory, Packing, RawData, Reader, Writer,
    folder,
};

#[test]
fn every_tensor_comes_back_in_its_format() {
    let reader = small_model().open().unwrap();
    for (name, shape, format) in TENSORS {
        let original = values(name, shape.iter().product());
        let (rows, cols) = (shape.first().copied().unwrap_or(1), shape.iter().skip(1).product());
        let expected = match format {
            _ if format.is_quantized() => {
                decode(&encode(&original, rows, cols, format).unwrap(), rows, cols, format).unwrap()
            }
            Format::F16 if original.len().is_multiple_of(2) => {
                original.iter().map(|value| half::f16::from_f32(*value).to_f32()).collect()
            }
            _ => original.clone(),
        };
        let tensor = block_on(reader.tensor(name)).unwrap();
        assert_eq!((tensor.shape.as_slice(), &tensor.values), (shape, &expected), "{name}");
        for range in [0..rows, 0..1, rows / 2..rows, rows..rows] {
            let some = block_on(reader.rows(name, range.clone())).unwrap();
            assert_eq!(some.values, expected[range.start * cols..range.end * cols], "{name} {range:?}");
        }
        assert_eq!(block_on(reader.rows(name, 0..rows + 1)).unwrap_err().kind(), ErrorKind::BadModel);
        if let RawData::Quantized(encoded) = block_on(reader.raw(name)).unwrap().data {
            assert_eq!(encoded, encode(&original, rows, cols, format).unwrap());
        }
    }
    assert!(block_on(reader.tensor("denoiser.none")).unwrap_err().to_string().contains("tensor denoiser.none"));
}

#[test]
fn the_reader_knows_names_files_and_its_identity() {
    let model = small_model();
    let reader = model.open().unwrap();
    let names: Vec<_> = reader.names_of("denoiser").collect();
    let layers: Vec<_> = reader.names_of("denoiser.layers").collect();
    assert_eq!((names.len(), layers), (6, vec!["denoiser.layers.0.wk", "denoiser.layers.0.wq"]));
    assert_eq!(block_on(reader.file("text/tokenizer.json")).unwrap(), b"{}");
    assert_eq!(block_on(reader.file("text/other.json")).unwrap_err().kind(), ErrorKind::BadModel);
    assert_eq!(reader.identity(), crate::weights::digest::sha256_hex(model.manifest.to_string().as_bytes()));
    let mut calls = Vec::new();
    block_on(reader.verify(&mut |done, total| calls.push((done, total)))).unwrap();
    let total = reader.manifest().files.iter().map(|file| file.bytes).sum();
    assert_eq!(calls.last(), Some(&(total, total)));
}

/// A table of which rows are read one by one is most of some models.
#[test]
fn what_will_be_verified_is_known_before() {
    let outer = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(outer.path().join("model")).unwrap();
    let chunk = CHUNK_BYTES as usize / size_of::<f32>();
    for (name, values) in [("denoiser.a", chunk / 2), ("denoiser.table", 3 * chunk), ("denoiser.b", 100)] {
        writer.add(name, &[values], &vec![0.5; values], Format::F32).unwrap();
    }
    let mut manifest = bare_manifest();
    manifest.components.text.as_mut().unwrap().tokenizer = None;
    writer.finish(manifest).unwrap();
    let reader = block_on(Reader::open(Rc::new(crate::weights::folder(outer.path().join("model"))))).unwrap();
    let names = ["denoiser.a", "denoiser.b"];
    assert_eq!(reader.names_in_order("denoiser"), ["denoiser.a", "denoiser.table", "denoiser.b"]);
    let foreseen = reader.verified_with(names.into_iter());
    assert!(reader.verified() < foreseen && foreseen < reader.verified_with(reader.names_of("denoiser")));
    names.iter().for_each(|name| drop(block_on(reader.tensor(name)).unwrap()));
    assert_eq!(reader.verified(), foreseen);
    assert_eq!(reader.verified_with(names.into_iter()), foreseen);
}

#[test]
fn the_safetensors_crate_opens_what_is_written_and_sees_the_same() {
    for (path, bytes) in small_model().files.iter().filter(|(path, _)| path.ends_with(".safetensors")) {
        let theirs = SafeTensors::deserialize(bytes).unwrap();
        let ours = header::parse(path, bytes, bytes.len() as u64).unwrap();
        assert_eq!(ours.data_start % 8, 0);
        assert_eq!(theirs.len(), ours.tensors.len());
        for (name, tensor) in &ours.tensors {
            let view = theirs.tensor(name).unwrap();
            let range = tensor.offset as usize..(tensor.offset + tensor.bytes) as usize;
            assert_eq!((view.shape(), view.data()), (tensor.shape.as_slice(), &bytes[range]));
            assert_eq!(format!("{:?}", view.dtype()), format!("{:?}", tensor.dtype));
        }
    }
}

#[test]
fn a_written_manifest_reads_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_small_model(&folder.path().join("model")).unwrap();
    let text = std::fs::read(folder.path().join("model").join(MANIFEST)).unwrap();
    assert_eq!(Manifest::parse(&text).unwrap(), manifest);
    let paths: Vec<_> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    let expected = ["text/tokenizer.json", "text-00001", "denoiser-00001", "decoders-00001"];
    assert!(paths.iter().zip(expected).all(|(path, start)| path.starts_with(start)), "{paths:?}");
}

#[test]
fn nothing_half_written_stays_behind() {
    let outer = tempfile::tempdir().unwrap();
    let count = || std::fs::read_dir(outer.path()).unwrap().count();
    let target = outer.path().join("model");
    let mut writer = Writer::new(&target).unwrap();
    writer.add("denoiser.a", &[2], &[1.0, 2.0], Format::F32).unwrap();
    drop(writer);
    assert_eq!(count(), 0);
    let mut manifest = bare_manifest(); // Its tokenizer is not among the files.
    assert_eq!(Writer::new(&target).unwrap().finish(manifest.clone()).unwrap_err().kind(), ErrorKind::BadModel);
    assert_eq!(count(), 0);
    manifest.components.text.as_mut().unwrap().tokenizer = None;
    Writer::new(&target).unwrap().finish(manifest).unwrap();
    assert_eq!(count(), 1);
    assert!(Writer::new(&target).err().unwrap().to_string().contains("remove it"), "a model is never overwritten");
    assert_eq!(count(), 1);
}

#[test]
fn what_a_reader_would_refuse_is_not_written() {
    let outer = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(outer.path().join("model")).unwrap();
    writer.add("a.b", &[2, 2], &[0.0; 4], Format::Q4B32).unwrap();
    let mut refused = |name: &str, shape: &[usize], values: &[f32], format, what: &str| {
        let error = writer.add(name, shape, values, format).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadModel);
        assert!(error.to_string().contains(what), "{error}");
    };
    refused("a.b", &[1], &[0.0], Format::F32, "\"a.b\"");
    refused("a.b.scale", &[1], &[0.0], Format::F32, "a.b.scale");
    refused("a/b", &[1], &[0.0], Format::F32, "a/b");
    refused("a..b", &[1], &[0.0], Format::F32, "a..b");
    refused("a.c", &[2], &[0.0; 2], Format::Q4B32, "tensor a.c: expected two or more axes");
    refused("a.d", &[2, 0], &[], Format::F32, "sides of 1 or more");
    refused("a.e", &[3], &[0.0; 4], Format::F32, "a shape of 4 values");
    refused("a.f", &[2], &[0.0, f32::NAN], Format::F32, "tensor a.f: value 1");
    refused("a.g", &[2], &[1e6, 0.0], Format::F16, "tensor a.g: value 0");
    refused("a.h", &[1, 1], &[f32::INFINITY], Format::Q8B32, "tensor a.h: value 0");
    for path in ["../x", "manifest.json", "x.safetensors"] {
        assert_eq!(writer.add_file(path, b"").unwrap_err().kind(), ErrorKind::BadModel);
    }
}

#[test]
fn a_tensor_split_by_rows_is_read_as_one() {
    let mut model = small_model();
    let part = |rows: usize, first: f32| {
        let values: Vec<u8> = (0..rows * 2).flat_map(|index| (first + index as f32).to_le_bytes()).collect();
        let length = values.len();
        let header =
            format!(r#"{{"decoders.image.t":{{"dtype":"F32","shape":[{rows},2],"data_offsets":[0,{length}]}}}}"#);
        super::shard(&header, &values)
    };
    let files = model.manifest["files"].as_array_mut().unwrap();
    let first = files.len();
    for name in ["part-1.safetensors", "part-2.safetensors"] {
        files.push(serde_json::json!({ "path": name }));
    }
    model.replace("part-1.safetensors", part(3, 0.0));
    model.replace("part-2.safetensors", part(2, 6.0));
    model.manifest["tensors"]["decoders.image.t"] = serde_json::json!({
        "file": first, "format": "f32", "shape": [5, 2],
        "parts": [{ "file": first, "rows": [0, 3] }, { "file": first + 1, "rows": [3, 5] }],
    });
    let reader = model.open().unwrap();
    let all: Vec<_> = (0..10_u8).map(f32::from).collect();
    assert_eq!(block_on(reader.tensor("decoders.image.t")).unwrap().values, all);
    assert_eq!(block_on(reader.rows("decoders.image.t", 2..4)).unwrap().values, all[4..8]);
    assert_eq!(block_on(reader.rows("decoders.image.t", 4..5)).unwrap().values, all[8..]);
}

/// Counts what is asked of it.
struct Counting {
    memory: Memory,
    reads: RefCell<Vec<(String, u64, usize)>>,
}

impl ByteSource for Counting {
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>> {
        self.memory.size(path)
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>> {
        self.reads.borrow_mut().push((path.into(), offset, length));
        self.memory.read(path, offset, length)
    }

    fn blocking(&self) -> Option<Arc<dyn BlockingSource>> {
        None
    }

    fn name(&self) -> String {
        self.memory.name()
    }
}

/// Three tensors of 3 MiB lie across the borders of 4 MiB chunks.
#[test]
fn tensors_across_chunks_are_read_with_every_byte_asked_for_once() {
    let outer = tempfile::tempdir().unwrap();
    let target = outer.path().join("model");
    let mut writer = Writer::new(&target).unwrap();
    let count = 3 << 18;
    let value = |index: usize| index as f32;
    for name in ["text.a", "text.b", "text.c"] {
        writer.add(name, &[count], &(0..count).map(value).collect::<Vec<_>>(), Format::F32).unwrap();
    }
    let mut manifest = bare_manifest();
    manifest.components.text.as_mut().unwrap().tokenizer = None;
    let path = writer.finish(manifest).unwrap().files[0].path.clone();
    let files = [MANIFEST, &path].map(|path| (path.to_string(), std::fs::read(target.join(path)).unwrap()));
    let source = Rc::new(Counting { memory: Memory { files: files.into() }, reads: RefCell::default() });
    let reader = block_on(Reader::open(source.clone())).unwrap();
    let opening: usize = source.reads.borrow().iter().filter(|read| read.0 == path).map(|read| read.2).sum();
    assert!(opening <= 32 << 10, "opening reads headers, not chunks: {opening}");
    source.reads.borrow_mut().clear();
    for name in ["text.a", "text.b", "text.c"] {
        let tensor = block_on(reader.tensor(name)).unwrap();
        assert!(tensor.values.iter().enumerate().all(|(index, found)| *found == value(index)), "{name}");
    }
    let chunks: Vec<_> = source.reads.borrow().iter().map(|read| (read.1, read.2 as u64)).collect();
    let length = reader.manifest().files[0].bytes;
    assert_eq!(chunks, [(0, CHUNK_BYTES), (CHUNK_BYTES, CHUNK_BYTES), (2 * CHUNK_BYTES, length - 2 * CHUNK_BYTES)]);
    // All chunks are good by now, so a few rows are a few bytes.
    assert_eq!(block_on(reader.rows("text.a", 7..9)).unwrap().values, [7.0, 8.0]);
    assert_eq!(source.reads.borrow().last().unwrap().2, 8);
}

#[test]
fn a_shard_is_full_at_64_mib_unless_one_tensor_is_longer() {
    let outer = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(outer.path().join("model")).unwrap();
    let mebi = vec![0.0; 1 << 18];
    for index in 0..64 {
        writer.add(&format!("text.{index}"), &[mebi.len()], &mebi, Format::F32).unwrap();
    }
    writer.add("text.long", &[65 * mebi.len()], &mebi.repeat(65), Format::F32).unwrap();
    writer.add("text.short", &[1], &[0.0], Format::F32).unwrap();
    let mut manifest = bare_manifest();
    manifest.components.text.as_mut().unwrap().tokenizer = None;
    let manifest = writer.finish(manifest).unwrap();
    let mebis: Vec<_> = manifest.files.iter().map(|file| file.bytes.div_ceil(1 << 20)).collect();
    // 63 MiB and a header; one MiB more would be too long with its header.
    assert_eq!(mebis, [64, 2, 66, 1]);
    assert!(manifest.files[0].bytes <= 64 << 20);
    block_on(block_on(Reader::open(Rc::new(folder(outer.path().join("model"))))).unwrap().verify(&mut |_, _| ()))
        .unwrap();
}

/// Longer than a shard: split by rows, each part in a file of its own, and read back as if it were whole.
#[test]
fn long_tensors_are_split_by_rows() {
    let (rows, cols) = (67, 1 << 18);
    let value = |row: usize, col: usize| (row * 7 + col % 1009) as f32;
    let at = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(at.path().join("m")).unwrap();
    let packing = Packing::new("text.table", &[rows, cols], Format::F32).unwrap();
    let mut asked = Vec::new();
    let packed = |range: std::ops::Range<usize>| {
        asked.push(range.clone());
        let values: Vec<_> = range.clone().flat_map(|row| (0..cols).map(move |col| value(row, col))).collect();
        packing.pack(range, &values)
    };
    writer.add_packed(&packing, packed).unwrap();
    writer.add_file("text/tokenizer.json", b"{}").unwrap();
    let manifest = writer.finish(bare_manifest()).unwrap();
    // A shard has room for 57 rows, and 16 are packed at once.
    assert_eq!(asked, [0..16, 16..32, 32..48, 48..57, 57..67]);
    assert_eq!(packing.chunks().collect::<Vec<_>>(), asked);
    let entry = &manifest.tensors["text.table"];
    let parts: Vec<_> = entry.parts.iter().flatten().map(|part| part.rows).collect();
    assert_eq!(parts, [[0, 57], [57, 67]]);
    assert!(
        manifest.files.iter().all(|file| file.bytes <= crate::weights::packed::SHARD_BYTES as u64),
        "{:?}",
        manifest.files
    );
    let source = folder(at.path().join("m"));
    let reader = block_on(Reader::open(Rc::new(source))).unwrap();
    let tensor = block_on(reader.tensor("text.table")).unwrap();
    assert_eq!(tensor.shape, [rows, cols]);
    assert!(tensor.values.iter().enumerate().all(|(i, found)| *found == value(i / cols, i % cols)));
}
