//! Files of `torch.save` that are read, and state dicts that are not.

use std::io::{Seek as _, SeekFrom, Write as _};

use super::torch_file::{Archive, Pickle, Saved};
use super::{open, refusal};
use crate::weights::checkpoint::Checkpoint;
use crate::weights::header::Dtype;

const F32: Saved<'static> =
    Saved { name: "w", storage: ("Float", "0", 6), offset: 0, shape: &[2, 3], strides: &[3, 1], parameter: false };

/// A file with a pickle and two storages: six f32 of 0 to 5, and four bf16 of 1 to 4.
pub(super) fn archive(pickle: &[u8]) -> Archive {
    let floats: Vec<u8> = (0..6u8).flat_map(|number| f32::from(number).to_le_bytes()).collect();
    let brains: Vec<u8> = (1..5u8).flat_map(|number| half::bf16::from_f32(number.into()).to_le_bytes()).collect();
    let mut archive = Archive::default();
    archive.add("data.pkl", pickle);
    archive.add(".format_version", b"1");
    archive.add("byteorder", b"little");
    archive.add("data/0", &floats);
    archive.add("data/1", &brains);
    archive.add("version", b"3\n");
    archive
}

/// The file of a state dict with an f32 matrix, a bf16 parameter and a part of the matrix's storage.
pub(super) fn small_file() -> Vec<u8> {
    let brain = Saved { name: "b", storage: ("BFloat16", "1", 4), shape: &[4], strides: &[1], parameter: true, ..F32 };
    let part = Saved { name: "part", offset: 4, shape: &[1, 2], strides: &[77, 1], ..F32 };
    archive(&Pickle::default().state_dict(&[F32, brain, part]).finish()).finish(true)
}

#[test]
fn a_state_dict_is_read_by_rows() {
    let checkpoint = open(&small_file()).unwrap();
    let found: Vec<_> = checkpoint.tensors().map(|(name, info)| (name, info.dtype, info.shape.clone())).collect();
    let expected = [("b", Dtype::BF16, vec![4]), ("part", Dtype::F32, vec![1, 2]), ("w", Dtype::F32, vec![2, 3])];
    assert_eq!(found, expected);
    assert_eq!(checkpoint.read("w", 0..2).unwrap(), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(checkpoint.read("w", 1..2).unwrap(), [3., 4., 5.]);
    assert_eq!(checkpoint.read("b", 1..3).unwrap(), [2., 3.]);
    assert_eq!(checkpoint.read("part", 0..1).unwrap(), [4., 5.]);
    assert_eq!(checkpoint.bytes(), 24 + 8 + 8);
}

#[test]
fn all_protocols_and_both_ends_of_archives_are_read() {
    let put = |pickle: Pickle, text: &str| pickle.put([0x8c, text.len() as u8]).put(text).put([0x94]);
    let global = |pickle, module, name| put(put(pickle, module), name).put([0x93, 0x94]);
    // What Python's pickle writes for {"w": tensor} with protocol 4: frames, short texts, places without numbers.
    let pickle = put(Pickle::default().put(b"\x80\x04\x95\xff\0\0\0\0\0\0\0}\x94"), "w");
    let pickle = put(global(pickle, "torch._utils", "_rebuild_tensor_v2").put(b"(("), "storage");
    let pickle = put(put(global(pickle, "torch", "FloatStorage"), "0"), "cpu").put(b"K\x06t\x94QK\0");
    let pickle = global(pickle.put(b"K\x02K\x03\x86\x94K\x03K\x01\x86\x94\x89"), "collections", "OrderedDict");
    let pickle = pickle.put(b")R\x94t\x94R\x94s.").bytes;
    for (pickle, zip64) in [(pickle, true), (Pickle::default().state_dict(&[F32]).finish(), false)] {
        let checkpoint = open(&archive(&pickle).finish(zip64)).unwrap();
        assert_eq!(checkpoint.read("w", 0..2).unwrap(), [0., 1., 2., 3., 4., 5.]);
    }
}

/// The names of what is found in a dict of `(key, a state dict with this tensor)`, beside a number of steps.
fn names_in(entries: &[(&str, &str)]) -> Vec<String> {
    let opened = Pickle::default().put(b"}").memorise().put(b"(").text("steps").integer(70_000).text("rate").put(b"G");
    let opened = opened.put(1e-4f64.to_be_bytes()).text("none").put(b"N").text("names").put(b"]").memorise();
    let opened = opened.put(b"(").text("x").put(b"e");
    let filled =
        entries.iter().fold(opened, |pickle, (key, name)| pickle.text(key).state_dict(&[Saved { name, ..F32 }]));
    match open(&archive(&filled.put(b"u").finish()).finish(true)) {
        Ok(checkpoint) => checkpoint.tensors().map(|(name, _)| name.to_owned()).collect(),
        Err(error) => vec![error.to_string().split("found ").last().unwrap().to_owned()],
    }
}

#[test]
fn a_state_dict_is_found_among_other_things() {
    assert_eq!(names_in(&[("ema", "e"), ("model", "m"), ("optimizer", "o")]), ["m"]);
    assert_eq!(names_in(&[("module", "n"), ("model", "m"), ("state_dict", "s")]), ["s"]);
    assert_eq!(names_in(&[("ema", "e"), ("optimizer", "o")]), ["e"]);
    assert_eq!(
        names_in(&[("generator", "g")]),
        ["a dict of steps, rate, none, names, generator; save only the state dict"]
    );
    // Two levels, and no more.
    let nested = |levels: usize| {
        let opened = (0..levels).fold(Pickle::default(), |pickle, _| pickle.put(b"}").memorise().text("model"));
        let closed = (0..levels).fold(opened.state_dict(&[F32]), |pickle, _| pickle.put(b"s"));
        open(&archive(&closed.finish()).finish(true))
    };
    assert_eq!(nested(2).unwrap().read("w", 0..1).unwrap(), [0., 1., 2.]);
    assert!(nested(3).unwrap_err().to_string().contains("found a dict of model; save only the state dict"));
}

#[test]
fn tensors_that_do_not_lie_in_one_piece_are_refused() {
    let long = [1; 9];
    let huge = [1 << 40, 1 << 40];
    for (tensor, message) in [
        (
            Saved { strides: &[1, 2], ..F32 },
            "w: expected a tensor that lies in one piece, found [2, 3] with the strides",
        ),
        (Saved { shape: &[2, 3], strides: &[0, 0], ..F32 }, "save it after .contiguous()"),
        (Saved { shape: &huge, strides: &huge, ..F32 }, "w: expected a tensor that lies in one piece"),
        (Saved { offset: 1, ..F32 }, "w: expected 6 numbers in its storage, found 6 from 1 on"),
        (Saved { offset: i64::MAX, ..F32 }, "w: expected 6 numbers in its storage"),
        (Saved { storage: ("Float", "9", 6), ..F32 }, "w: expected its storage \"9\", found none"),
        (Saved { storage: ("Float", "0", 7), ..F32 }, "w: expected 7 numbers of F32 in its storage, found 24 bytes"),
        (Saved { storage: ("Float", "0", i64::MAX), ..F32 }, "numbers of F32 in its storage, found 24 bytes"),
        (Saved { storage: ("Half", "0", 6), ..F32 }, "expected 6 numbers of F16 in its storage"),
        (Saved { storage: ("Float", "0", -1), ..F32 }, "expected a whole pickle"),
        (Saved { offset: -1, ..F32 }, "expected a whole pickle"),
        (Saved { shape: &[-2, 3], ..F32 }, "expected a whole pickle"),
        (Saved { shape: &[6], ..F32 }, "expected a whole pickle"),
        (Saved { shape: &long, strides: &long, ..F32 }, "expected a whole pickle"),
        (Saved { storage: ("Untyped", "0", 24), ..F32 }, "the name torch.UntypedStorage"),
    ] {
        let error = refusal(&archive(&Pickle::default().state_dict(&[tensor]).finish()).finish(true));
        assert!(error.contains(message), "{error}");
    }
    let empty = Saved { name: "empty", shape: &[2, 0], strides: &[5, 5], ..F32 };
    let scalar = Saved { name: "scalar", offset: 5, shape: &[], strides: &[], ..F32 };
    let whole = Saved { name: "whole", storage: ("Long", "0", 3), shape: &[3], strides: &[1], ..F32 };
    let file = archive(&Pickle::default().state_dict(&[empty, scalar, whole]).finish()).finish(true);
    let checkpoint = open(&file).unwrap();
    assert_eq!((checkpoint.read("empty", 0..2).unwrap(), checkpoint.read("scalar", 0..1).unwrap()), (vec![], vec![5.]));
    let error = checkpoint.read("whole", 0..1).unwrap_err().to_string();
    assert!(error.ends_with("whole: expected floats, found integers (I64)"), "{error}");
}

#[test]
fn storages_and_archives_of_more_than_4_gib_are_read() {
    let count = (5 << 30) / 2;
    let wide = Saved { name: "wide", storage: ("Half", "0", count), shape: &[count / 2, 2], strides: &[2, 1], ..F32 };
    let last = Saved { name: "last", storage: ("BFloat16", "1", 4), shape: &[4], strides: &[1], ..F32 };
    let mut archive = Archive::default();
    archive.add("data.pkl", &Pickle::default().state_dict(&[wide, last]).finish());
    archive.add_zeros("data/0", 5 << 30);
    archive.add("data/1", &[0x80, 0x3F, 0, 0x40, 0x40, 0x40, 0x80, 0x40]);
    let (hole_at, hole) = archive.hole.unwrap();
    let bytes = archive.finish(true);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.pth");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&bytes[..hole_at]).unwrap();
    file.seek(SeekFrom::Current(hole as i64)).unwrap();
    file.write_all(&bytes[hole_at..]).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let rows = count as usize / 2;
    assert_eq!(checkpoint.read("wide", rows - 1..rows).unwrap(), [0., 0.]);
    assert_eq!(checkpoint.read("last", 0..4).unwrap(), [1., 2., 3., 4.]);
}
