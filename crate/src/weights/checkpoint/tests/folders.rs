//! What is chosen in a folder, and what is read from it.

use safetensors_of_fixture::numbers;

use super::{fixture, folder, safetensors};
use crate::error::ErrorKind;
use crate::weights::checkpoint::Checkpoint;
use crate::weights::header::Dtype;

/// A second reader of the fixtures, which takes nothing from the first.
mod safetensors_of_fixture {
    use std::path::Path;

    /// The numbers of the F32 tensor `name` in `file`.
    pub fn numbers(file: &Path, name: &str) -> Vec<f32> {
        let bytes = std::fs::read(file).unwrap();
        let header_bytes = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_bytes]).unwrap();
        assert_eq!(header[name]["dtype"], "F32");
        let at = |place: usize| 8 + header_bytes + header[name]["data_offsets"][place].as_u64().unwrap() as usize;
        bytes[at(0)..at(1)].chunks(4).map(|number| f32::from_le_bytes(number.try_into().unwrap())).collect()
    }
}

#[test]
fn rows_of_luminas_own_file_are_read() {
    let checkpoint = Checkpoint::open(&fixture("flag_dit_t2i")).unwrap();
    let name = "layers.0.attention.wq.weight";
    let (_, wq) = checkpoint.tensors().find(|(found, _)| *found == name).unwrap();
    let [rows, columns] = *wq.shape else { panic!("{wq:?}") };
    assert_eq!((wq.dtype, wq.rows(), wq.bytes), (Dtype::F32, rows, (rows * columns * 4) as u64));
    let expected = numbers(&fixture("flag_dit_t2i/consolidated.00-of-01.safetensors"), name);
    assert_eq!(checkpoint.read(name, 0..rows).unwrap(), expected);
    assert_eq!(checkpoint.read(name, 2..5).unwrap(), expected[2 * columns..5 * columns]);
    assert!(checkpoint.read(name, rows..rows).unwrap().is_empty());
    assert!(checkpoint.tensors().map(|(name, _)| name).is_sorted());
    assert_eq!(checkpoint.bytes(), checkpoint.tensors().map(|(_, tensor)| tensor.bytes).sum::<u64>());
    assert_eq!(checkpoint.describe(), None);
    for (name, rows, message) in [
        ("nobody", 0..1, "flag_dit_t2i: nobody: expected a tensor, found none"),
        (name, 0..rows + 1, "expected at most"),
        (name, usize::MAX..usize::MAX, "expected at most"),
        #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
        (name, 3..2, "found rows 3 to 2"),
    ] {
        let error = checkpoint.read(name, rows).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), ErrorKind::BadModel);
    }
}

#[test]
fn shards_are_one_checkpoint() {
    let by_folder = Checkpoint::open(&fixture("text_llama")).unwrap();
    let by_index = Checkpoint::open(&fixture("text_llama/model.safetensors.index.json")).unwrap();
    assert!(by_folder.tensors().eq(by_index.tensors()));
    for (shard, name) in [(1, "model.embed_tokens.weight"), (2, "lm_head.weight")] {
        let expected = numbers(&fixture(&format!("text_llama/model-0000{shard}-of-00002.safetensors")), name);
        let (_, tensor) = by_folder.tensors().find(|(found, _)| *found == name).unwrap();
        assert_eq!(by_folder.read(name, 0..tensor.rows()).unwrap(), expected);
    }
    assert_eq!(Checkpoint::open(&fixture("vae/vae")).unwrap().describe(), None);
}

/// The only tensor of what is chosen among `names`; each file's tensor has the name of its file.
fn chosen(names: &[&str]) -> Result<String, String> {
    let files: Vec<_> = names.iter().map(|name| (*name, safetensors(&[(name, "F32", &[], 4)]))).collect();
    let folder = folder(&files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>());
    let checkpoint = Checkpoint::open(folder.path()).map_err(|error| error.to_string())?;
    Ok(checkpoint.tensors().map(|(name, _)| name).collect::<Vec<_>>().join(" "))
}

#[test]
fn the_surest_of_a_folder_is_chosen() {
    let consolidated = "consolidated.00-of-01.safetensors";
    for (names, expected) in [
        (&[consolidated, "io.safetensors", "consolidated_ema.00-of-01.safetensors"] as &[_], consolidated),
        (&[consolidated, "consolidated.00-of-01.pth", "model_args.pth"], consolidated),
        (&["consolidated_ema.00-of-01.pth", "model_args.pth"], "consolidated_ema.00-of-01.pth"),
        (&["c.safetensors", "c.bin", "config.json"], "c.safetensors"),
        (&["model.safetensors", "model.fp16.safetensors"], "model.safetensors"),
        (&["net.pth", "model_args.pth"], "net.pth"),
        (
            &["consolidated.00-of-02.pth", "consolidated.01-of-02.pth"],
            "consolidated.00-of-02.pth consolidated.01-of-02.pth",
        ),
    ] {
        assert_eq!(chosen(names).as_deref(), Ok(expected));
    }
    for (names, message) in [
        (&["a.safetensors", "b.safetensors"] as &[_], "found a.safetensors, b.safetensors; name one of them"),
        (&["config.json", "model_args.pth"], "expected a .safetensors, a .pth or an index of several, found none"),
        (&["consolidated.00-of-02.pth"], "expected 2 parts, from 00 on, found consolidated.00-of-02.pth"),
        (&["consolidated.x-of-y.pth"], "expected NN-of-MM in each name"),
    ] {
        let error = chosen(names).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

/// Why an index is refused beside `a.safetensors` with tensor `a`, and `b.safetensors` with `b`.
fn index_refusal(index: &str) -> String {
    let (a, b) = (safetensors(&[("a", "F32", &[], 4)]), safetensors(&[("b", "F32", &[], 4), ("c", "F32", &[], 4)]));
    let index_name = "model.safetensors.index.json";
    let folder = folder(&[("a.safetensors", &a), ("b.safetensors", &b), (index_name, index.as_bytes())]);
    Checkpoint::open(folder.path()).unwrap_err().to_string()
}

#[test]
fn an_index_must_be_true() {
    for (index, message) in [
        (r#"{"weight_map":{"a":"a.safetensors","b":"n.safetensors"}}"#, "n.safetensors: expected a file, as the index"),
        (
            r#"{"weight_map":{"a":"b.safetensors"}}"#,
            "b.safetensors: a: expected a tensor, as the index says, found none",
        ),
        (r#"{"weight_map":{"b":"a.safetensors","c":"b.safetensors"}}"#, "a.safetensors: b: expected a tensor"),
        (r#"{"weight_map":{"a":"../a.safetensors"}}"#, r#"expected files beside the index, found "../a.safetensors""#),
        (r#"{"weight_map":{"a":"a.safetensors","a":"b.safetensors"}}"#, r#"the name "a" stands twice"#),
        (r#"{"weight_map":{}}"#, "expected tensors, found none"),
        ("{}", "missing field `weight_map`"),
        ("version https://git-lfs.github.com/spec/v1", "expected a weight_map of names and files"),
    ] {
        let error = index_refusal(index);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let part = safetensors(&[("same", "F32", &[], 4)]);
    let folder = folder(&[("consolidated.00-of-02.safetensors", &part), ("consolidated.01-of-02.safetensors", &part)]);
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("01-of-02.safetensors: same: expected each tensor in one file, found it in"), "{error}");
    let error = Checkpoint::open(&folder.path().join("nowhere")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
}
