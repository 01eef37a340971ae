//! Files that are something else, broken or hostile are refused with a sentence, and never cause a panic.

use super::torch::{archive, small_file};
use super::torch_file::{Archive, Entry, Pickle};
use super::{folder, open, refusal, safetensors};
use crate::error::ErrorKind;
use crate::weights::checkpoint::Checkpoint;

#[test]
fn what_is_no_checkpoint_is_named() {
    for (bytes, message) in [
        (b"" as &[u8], "found an empty file; download the file again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "found a Git-LFS pointer, not the file; run git lfs pull",
        ),
        (b"GGUF\x03\0\0\0\0\0\0\0", "found a GGUF file"),
        (b"\n<!DOCTYPE HTML><title>Login</title>", "found a web page"),
        (b"<html lang=en>", "found a web page"),
        (
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
            "found the legacy format of torch.save; save it as",
        ),
        (b"\x80\x04}.", "found a plain pickle; save it as safetensors"),
        (b"\x80\x05}q\0X\x01\0\0\0a", "found a plain pickle"),
        (b"abc", "found a file of 3 bytes"),
        (b"numbers of something", "found something else"),
        (b"PK\x03\x04 and no more", "its directory at its end (a download that broke off has none), found other bytes"),
    ] {
        let refusal = refusal(bytes);
        assert!(refusal.contains(message), "{refusal}");
    }
}

#[test]
fn a_safetensors_file_that_was_cut_short_says_by_how_much() {
    // Its header is 0x0280 bytes long, which looks like a pickle.
    let long = "n".repeat(0x280 - r#"{"":{"dtype":"F16","shape":[2, 2],"data_offsets":[0,8]}}"#.len());
    let whole = safetensors(&[(&long, "F16", &[2, 2], 8)]);
    assert_eq!(whole[..2], [0x80, 0x02]);
    assert_eq!(open(&whole).unwrap().read(&long, 1..2).unwrap(), [0., 0.]);
    let sentence = "expected 8 bytes of tensors, as its header says, found 3; download the file again";
    assert_eq!(refusal(&whole[..whole.len() - 5]), sentence);
    let sentence =
        "expected at least 648 bytes, as it says of its header, found 400; the file was cut short: download it again";
    assert_eq!(refusal(&whole[..400]), sentence);
    for length in 0..whole.len() {
        open(&whole[..length]).unwrap_err();
    }
    assert_eq!(refusal(&safetensors(&[])), "expected tensors, found none");
}

#[test]
fn every_beginning_of_a_torch_file_is_refused() {
    let whole = small_file();
    open(&whole).unwrap();
    for length in 0..whole.len() {
        let error = open(&whole[..length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadModel, "{length}: {error}");
    }
    // The middle is missing, the end is there.
    let error = refusal(&[&whole[..100], &whole[228..]].concat());
    assert_eq!(
        error,
        format!(
            "zip archive: expected {} bytes, as its directory says, found {}; download the file again",
            whole.len(),
            whole.len() - 128
        )
    );
}

#[test]
fn any_wrong_byte_gives_an_error_or_numbers_but_no_panic() {
    let mut whole = small_file();
    let folder = folder(&[]);
    let path = folder.path().join("file");
    let mut refused = 0;
    for place in 0..whole.len() {
        for change in [0x01, 0xFF] {
            whole[place] ^= change;
            std::fs::write(&path, &whole).unwrap();
            match Checkpoint::open(&path) {
                Ok(checkpoint) => read_all(&checkpoint),
                Err(_) => refused += 1,
            }
            whole[place] ^= change;
        }
    }
    assert!(refused > whole.len(), "{refused}");
}

/// Every tensor has as many numbers as it says, or is of integers.
fn read_all(checkpoint: &Checkpoint) {
    for (name, tensor) in checkpoint.tensors() {
        match checkpoint.read(name, 0..tensor.rows()) {
            Ok(numbers) => assert_eq!(numbers.len(), tensor.shape.iter().product::<usize>()),
            Err(error) => assert!(error.to_string().contains("expected floats, found integers"), "{error}"),
        }
    }
}

/// Why a file with this pickle is refused.
fn pickle_refusal(pickle: &[u8]) -> String {
    refusal(&archive(pickle).finish(true))
}

#[test]
fn code_is_named_and_not_run() {
    let sentence = |name: &str| {
        format!(
            "expected only tensors and plain values, found the name {name}: the file contains code, of which nothing \
             was run; use a safetensors file instead"
        )
    };
    let called = b"\x80\x02cposix\nsystem\nq\0X\x04\0\0\0trueq\x01\x85q\x02Rq\x03.";
    assert_eq!(pickle_refusal(called), format!("data.pkl: byte 2: {}", sentence("posix.system")));
    let by_stack = b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93.";
    assert!(pickle_refusal(by_stack).ends_with(&sentence("builtins.eval")));
    assert!(pickle_refusal(b"\x80\x02cargparse\nNamespace\n.").ends_with(&sentence("argparse.Namespace")));
    let long = [b"\x80\x02c\x1b[31m", "a".repeat(200).as_bytes(), b"\nb\n."].concat();
    assert!(pickle_refusal(&long).contains(&format!("name \\u{{1b}}[31m{}.b:", "a".repeat(75))));
    // Operations that make objects of classes are not known at all.
    for code in [0x81, b'i', b'o', 0x82, b'P', b'I'] {
        let refusal = pickle_refusal(&[0x80, 2, b')', code, b'.']);
        assert!(refusal.contains(&format!("expected an operation of torch.save, found {code:#04x}")), "{refusal}");
    }
}

#[test]
fn hostile_pickles_are_refused() {
    let broken = "expected a whole pickle, found a broken one; download the file again";
    let none = "found something else; save only the state dict";
    let repeated = |code: &str, count: usize| [b"\x80\x02", code.repeat(count).as_bytes(), b"."].concat();
    let tuples = [b"\x80\x02)", [0x85].repeat(300_000).as_slice(), b"."].concat();
    // A dict that holds itself, under the name of a state dict.
    let itself = Pickle::default().put(b"}").memorise().text("model").put(b"h\0s").finish();
    for (pickle, message) in [
        (tuples, none),
        (itself, "found a dict of model"),
        (repeated("(", 300_000), broken),
        (repeated("N", 2_000_001), "expected at most 2000000 operations, found more"),
        (b"\x80\x02}r\xff\xff\xff\xff.".to_vec(), broken),
        (b"\x80\x02}q\x01.".to_vec(), broken),
        (b"\x80\x02h\0.".to_vec(), broken),
        (b"\x80\x02j\xff\xff\xff\xff.".to_vec(), broken),
        (b"\x80\x02X\xff\xff\xff\xffa.".to_vec(), broken),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.".to_vec(), broken),
        (b"\x80\x02X\x01\0\0\0\xff.".to_vec(), broken),
        (b"\x80\x02\x8a\xff\0.".to_vec(), broken),
        (b"\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\x01.".to_vec(), none),
        (b"\x80\x02)Q.".to_vec(), broken),
        (b"\x80\x02))R.".to_vec(), broken),
        (b"\x80\x02ctorch\nFloatStorage\n)R.".to_vec(), broken),
        (b"\x80\x02]K\0K\0s.".to_vec(), broken),
        (b"\x80\x02}K\0a.".to_vec(), broken),
        (b"\x80\x02}(K\0u.".to_vec(), broken),
        (b"\x80\x02)}b.".to_vec(), broken),
        (b"\x80\x02N(.".to_vec(), broken),
        (b"\x80\x01}.".to_vec(), broken),
        (b"\x80\x02}.".to_vec(), "found an empty dict"),
        (b"".to_vec(), broken),
        (b".".to_vec(), broken),
    ] {
        let refusal = pickle_refusal(&pickle);
        assert!(refusal.contains(message), "{:?}: {refusal}", &pickle[..pickle.len().min(20)]);
    }
}

#[test]
fn archives_that_lie_are_refused() {
    let pickle = Pickle::default().state_dict(&[]).finish();
    let changed = |place: usize, change: fn(&mut Entry)| {
        let mut archive = archive(&pickle);
        change(&mut archive.entries[place]);
        refusal(&archive.finish(true))
    };
    for (place, change, message) in [
        (
            3,
            (|entry| entry.method = 8) as fn(&mut Entry),
            "expected a file that is stored as it is, found a compressed",
        ),
        (3, |entry| entry.flags |= 1, "found a compressed or encrypted one"),
        (3, |entry| entry.stored_bytes -= 1, "found a compressed or encrypted one"),
        (3, |entry| entry.name = "archive/data/1".into(), r#"expected the record of "archive/data/1", found another"#),
        (3, |entry| entry.offset += 1, r#"expected the record of "archive/data/0", found another"#),
        (3, |entry| entry.offset = u64::MAX, "bytes in all; the file was cut short"),
        (3, |entry| (entry.bytes, entry.stored_bytes) = (150, 150), r#""archive/data/1" between byte"#),
        (5, |entry| (entry.bytes, entry.stored_bytes) = (u64::MAX, u64::MAX), r#""archive/version" between byte"#),
        (0, |entry| (entry.bytes, entry.stored_bytes) = (1 << 40, 1 << 40), "zip archive: expected"),
    ] {
        let refusal = changed(place, change);
        assert!(refusal.contains(message), "{refusal}");
    }
    let mut twice = archive(&pickle);
    twice.add("data/0", b"");
    assert!(refusal(&twice.finish(true)).contains(r#"expected each name once, found "archive/data/0" twice"#));
    let mut big = Archive::default();
    big.add("data.pkl", &pickle);
    big.add("byteorder", b"big");
    assert!(refusal(&big.finish(true)).contains("expected little-endian numbers"));
    let mut other = Archive::default();
    other.add("word/document.xml", b"<xml/>");
    assert!(refusal(&other.finish(false)).contains("expected one data.pkl, as torch.save writes it"));
    let mut miscounted = archive(&pickle).finish(false);
    let count_at = miscounted.len() - 14;
    miscounted[count_at] = 7;
    miscounted[count_at + 2] = 7;
    assert!(refusal(&miscounted).contains("expected 7 files, as it says, found 6"));
}
