//! Damaged headers, damaged data and missing files give typed errors; random damage never panics.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use safetensors::SafeTensors;

use super::{DENOISER, TENSORS, block_on, shard, small_model};
use crate::error::{Error, ErrorKind, Result};
use crate::quant::tests::Random;
use crate::weights::header::{MAX_HEADER_BYTES, parse};
use crate::weights::{BlockingSource, ByteSource, LocalFuture, Memory, Reader};

fn refusal(header: &str, data_bytes: usize) -> Error {
    let file = shard(header, &vec![0; data_bytes]);
    parse("s", &file, file.len() as u64).unwrap_err()
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let a = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let b = |from: u64, to: u64| format!(r#"{{{a},"b":{{"dtype":"F16","shape":[2],"data_offsets":[{from},{to}]}}}}"#);
    assert_eq!(parse("s", &shard(&b(8, 12), &[0; 12]), 8 + b(8, 12).len() as u64 + 12).unwrap().tensors.len(), 2);
    let one = |entry: &str| format!(r#"{{"a":{entry}}}"#);
    for (header, data_bytes, message) in [
        (b(9, 13), 13, "s: b: data_offsets: expected bytes from 8 on"),
        (b(4, 8), 8, "s: b: data_offsets"),
        (b(8, 4), 8, "s: b: data_offsets"),
        (b(8, u64::MAX), 12, "s: expected 18446744073709551615 bytes of tensors"),
        (b(8, 12), 16, "s: expected 12 bytes of tensors"),
        (b(8, 12), 11, "s: expected 12 bytes of tensors"),
        (b(8, 10), 10, "s: b: expected 4 bytes for [2] of F16, found 2"),
        (format!("{{{a},{a}}}"), 8, "\"a\" stands twice"),
        (one(r#"{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}"#), 0, "a size in memory"),
        (one(r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#), 4, "\"a\": invalid value"),
        (one(r#"{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}"#), 4, "at most 8 axes"),
        (one(r#"{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}"#), 1, "unknown variant `F8_E4M3`"),
        (one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0]}"#), 4, "\"a\": invalid length"),
        (one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}"#), 4, "unknown field `x`"),
        (one(r#"{"dtype":"F32","data_offsets":[0,4]}"#), 4, "missing field `shape`"),
        (one("7"), 4, "\"a\": invalid type"),
        (r#"{"__metadata__":{"a":1}}"#.into(), 0, "__metadata__"),
        (r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, "stands twice"),
        ("[]".into(), 0, "begins with '{'"),
        (" {}".into(), 0, "begins with '{'"),
        ("{} x".into(), 0, "trailing characters"),
        ("{".into(), 0, "EOF"),
        (String::new(), 0, "begins with '{'"),
    ] {
        let error = refusal(&header, data_bytes);
        assert_eq!(error.kind(), ErrorKind::BadModel);
        assert!(error.to_string().contains(message), "{header}: {error}");
    }
}

#[test]
fn a_header_is_no_longer_than_its_file_or_the_limit() {
    for (length, file_bytes) in [(3, 10), (u64::MAX, 100), (MAX_HEADER_BYTES + 1, u64::MAX), (0, 7)] {
        let error = parse("s", &u64::to_le_bytes(length), file_bytes).unwrap_err().to_string();
        assert!(error.starts_with("s"), "{error}");
    }
    // The caller has not read as much as the header needs.
    assert!(parse("s", &u64::to_le_bytes(50), 100).unwrap_err().to_string().contains("expected 58 bytes"));
    assert!(parse("s", &[1, 2], 100).is_err());
}

/// The header of the denoiser's shard with one text replaced, its hashes made good.
fn with_header(once: &str, other: &str) -> Error {
    let mut model = small_model();
    let file = &model.files[DENOISER];
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&file[8..8 + length]).unwrap();
    assert!(header.contains(once), "{header}");
    let changed = shard(&header.replacen(once, other, 1), &file[8 + length..]);
    model.replace(DENOISER, changed);
    model.refusal()
}

#[test]
fn a_shard_that_is_not_what_the_manifest_says_is_refused() {
    for (once, other, message) in [
        ("denoiser.norm", "denoiser.gnorm", "denoiser.gnorm: expected only tensors that the manifest lists"),
        (r#""dtype":"F16","shape":[6]"#, r#""dtype":"BF16","shape":[6]"#, "found [6] of BF16"),
        (r#""dtype":"F16","shape":[6]"#, r#""dtype":"F16","shape":[3,2]"#, "found [3, 2] of F16"),
        (r#""dtype":"F16","shape":[6]"#, r#""dtype":"F16","shape":[7]"#, "expected 14 bytes"),
    ] {
        let error = with_header(once, other);
        assert_eq!(error.kind(), ErrorKind::BadModel);
        let text = error.to_string();
        assert!(text.contains(message) && text.contains(DENOISER), "{text}");
    }
    let mut model = small_model();
    model.replace(DENOISER, shard("{}", &[]));
    let text = model.refusal().to_string();
    assert!(text.contains(DENOISER) && text.contains("expected a tensor, as the manifest says, found none"), "{text}");
}

#[test]
fn a_missing_or_truncated_file_is_named() {
    for path in small_model().files.keys() {
        let mut model = small_model();
        model.files.remove(path);
        let error = model.refusal();
        assert_eq!((error.kind(), error.to_string().contains(path)), (ErrorKind::File, true), "{error}");

        let mut model = small_model();
        model.files.get_mut(path).unwrap().pop();
        let error = model.refusal();
        assert_eq!((error.kind(), error.to_string().contains(path)), (ErrorKind::Integrity, true), "{error}");
        assert!(error.to_string().contains("download"), "{error}");

        // A download that was cut short and a manifest that agrees.
        let mut model = small_model();
        let half = model.files[path].len() / 2;
        let cut = model.files[path][..half].to_vec();
        model.replace(path, cut);
        if path.ends_with(".safetensors") {
            assert_eq!(model.refusal().kind(), ErrorKind::BadModel);
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let mut random = Random(5);
    let mut found_on_opening = 0;
    for _ in 0..200 {
        let mut model = small_model_once().clone();
        let file = model.files.get_mut(DENOISER).unwrap();
        let index = random.next() as usize % file.len();
        file[index] ^= 1 << (random.next() % 8);
        let reader = match model.open() {
            Ok(reader) => reader,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BadModel, "only the header is looked at on opening");
                assert!(error.to_string().contains(DENOISER), "{error}");
                found_on_opening += 1;
                continue;
            }
        };
        let name = "denoiser.layers.0.wq";
        let error = block_on(reader.tensor(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        let text = error.to_string();
        assert!([DENOISER, "chunk 0", name, "SHA-256"].iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(block_on(reader.verify(&mut |_, _| ())).unwrap_err().kind(), ErrorKind::Integrity);
        block_on(reader.tensor("text.embedding")).expect("other files are not affected");
    }
    assert!(found_on_opening > 0);
}

/// Gives `first` until it was opened, then `later`.
struct Changing {
    first: Memory,
    later: Memory,
    is_opened: Cell<bool>,
}

impl Changing {
    fn now(&self) -> &Memory {
        if self.is_opened.get() { &self.later } else { &self.first }
    }
}

impl ByteSource for Changing {
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>> {
        self.now().size(path)
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>> {
        self.now().read(path, offset, length)
    }

    fn blocking(&self) -> Option<Arc<dyn BlockingSource>> {
        None
    }

    fn name(&self) -> String {
        "changing".into()
    }
}

#[test]
fn a_header_that_was_read_before_its_hash_is_confirmed() {
    let later = small_model_once().memory();
    let mut first = later.clone();
    let file = first.files.get_mut(DENOISER).unwrap();
    let (once, other) = (br#""dtype":"F16","shape":[6]"#, br#""shape":[6],"dtype":"F16""#);
    let at = file.windows(once.len()).position(|piece| piece == once).unwrap();
    file[at..at + other.len()].copy_from_slice(other);
    let source = Rc::new(Changing { first, later, is_opened: Cell::new(false) });
    let reader = block_on(Reader::open(source.clone())).unwrap();
    source.is_opened.set(true);
    let error = block_on(reader.tensor("denoiser.norm")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.to_string().contains("the bytes that were read on opening"), "{error}");
}

#[test]
fn a_wrong_hash_of_a_whole_file_is_found_by_verifying() {
    let mut model = small_model();
    model.manifest["files"][2]["sha256"] = "0".repeat(64).into();
    let error = block_on(model.open().unwrap().verify(&mut |_, _| ())).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains(DENOISER)), (ErrorKind::Integrity, true), "{error}");
}

/// Random damage with good hashes: what opens must be readable or refuse by a typed error.
#[test]
fn damaged_headers_never_panic_and_pass_only_where_the_safetensors_crate_agrees() {
    let mut random = Random(3);
    let good = small_model_once();
    let file = &good.files[DENOISER];
    let header_end = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    for round in 0..4000 {
        let mut file = file.clone();
        for _ in 0..=random.next() % 3 {
            let index = random.next() as usize % header_end;
            file[index] = if round % 2 == 0 { random.next() as u8 } else { b"0123456789\"{}[],:"[index % 17] };
        }
        let parsed = parse(DENOISER, &file, file.len() as u64);
        if let Ok(header) = &parsed {
            assert_eq!(SafeTensors::deserialize(&file).unwrap().len(), header.tensors.len());
        }
        if round % 20 == 0 || parsed.is_ok() {
            let mut model = good.clone();
            model.replace(DENOISER, file);
            if let Ok(reader) = model.open() {
                for (name, ..) in TENSORS {
                    let _ = block_on(reader.tensor(name));
                }
            }
        }
    }
}

/// Writing the model takes most of a round's time.
fn small_model_once() -> &'static super::Model {
    static MODEL: std::sync::OnceLock<super::Model> = std::sync::OnceLock::new();
    MODEL.get_or_init(small_model)
}
