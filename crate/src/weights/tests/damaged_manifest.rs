//! Every field of a manifest, made wrong one at a time, gives a typed error that names it.

use serde_json::{Value, json};

use super::{Model, small_model};
use crate::error::ErrorKind;
use crate::quant::tests::Random;
use crate::weights::Manifest;
use crate::weights::manifest::MAX_MANIFEST_BYTES;

/// A place in the manifest, a value that it cannot have, and what the message says.
fn wrong_values() -> Vec<(&'static str, Value, &'static str)> {
    let hash = "0".repeat(64);
    vec![
        ("/format", json!("gguf"), "format: expected \"flagdit\", found \"gguf\""),
        ("/format", json!(1), "\"format\":1"),
        ("/version", json!(2), "version: expected 1, found 2"),
        ("/version", json!(-1), "\"version\":-1"),
        ("/name", json!(null), "\"name\":null"),
        ("/license", json!([]), "\"license\":"),
        ("/created_by", json!(3), "\"created_by\":3"),
        ("/modalities", json!([]), "modalities"),
        ("/modalities", json!(["image", "image"]), "modalities"),
        ("/modalities", json!(["sound"]), "sizes: expected names among the modalities"),
        ("/sizes/image/native", json!([60, 64]), "sizes.image"),
        ("/sizes/image/native", json!([]), "sizes.image"),
        ("/sizes/image/max", json!([64]), "sizes.image"),
        ("/sizes/image/max", json!([32, 64]), "sizes.image"),
        ("/sizes/image/multiple", json!(0), "sizes.image"),
        ("/sampling/image/steps", json!(0), "sampling.image.steps"),
        ("/sampling/image/solver", json!(""), "sampling.image.solver"),
        ("/sampling/image/guidance", json!(-1.0), "sampling.image.guidance"),
        ("/sampling/image/guidance", json!(1e300), "sampling.image.guidance"),
        ("/sampling/image/time_shift", json!(0.0), "sampling.image.time_shift"),
        ("/components/text/tokenizer", json!("other.json"), "components.text.tokenizer"),
        ("/components/denoiser/architecture", json!(""), "components.denoiser.architecture"),
        ("/components/decoders/image/config", json!(7), "components.decoders.image.config"),
        ("/recipe/0/format", json!("q5"), "unknown variant `q5`"),
        ("/files/1/path", json!("../x.safetensors"), "files[1].path"),
        ("/files/1/path", json!("/x.safetensors"), "files[1].path"),
        ("/files/1/path", json!("x\\y.safetensors"), "files[1].path"),
        ("/files/1/path", json!("manifest.json"), "files[1].path"),
        ("/files/1/path", json!("text/tokenizer.json"), "files[1].path"),
        ("/files/1/path", json!("absent.safetensors"), "absent.safetensors"),
        ("/files/1/bytes", json!(1_u64 << 40), "files[1].chunks"),
        ("/files/1/bytes", json!(u64::MAX), "files[1].chunks"),
        ("/files/1/bytes", json!(-5), "\"bytes\":-5"),
        ("/files/1/bytes", json!(100), "text-00001.safetensors"),
        ("/files/1/sha256", json!("abc"), "files[1].sha256"),
        ("/files/1/sha256", json!("Z".repeat(64)), "files[1].sha256"),
        ("/files/1/chunks/0", json!("A".repeat(64)), "files[1].chunks[0]"),
        ("/files/1/chunks", json!([hash.clone(), hash]), "files[1].chunks"),
        ("/tensors/denoiser.norm/file", json!(99), "tensors.denoiser.norm: file"),
        ("/tensors/denoiser.norm/file", json!(0), "tensors.denoiser.norm: file"),
        ("/tensors/denoiser.norm/file", json!(1), "denoiser.norm"),
        ("/tensors/denoiser.norm/format", json!("f32"), "denoiser.norm: expected [6] of F32"),
        ("/tensors/denoiser.norm/format", json!("q4b32"), "tensors.denoiser.norm: shape"),
        ("/tensors/denoiser.norm/shape", json!([8]), "denoiser.norm: expected [8] of F16"),
        ("/tensors/denoiser.norm/shape", json!([3]), "multiple of 4 bytes"),
        ("/tensors/denoiser.norm/shape", json!([0]), "tensors.denoiser.norm: shape"),
        ("/tensors/denoiser.norm/shape", json!([1, 1, 1, 1, 1, 1, 1, 1, 6]), "at most 8 axes"),
        ("/tensors/denoiser.norm/shape", json!([1_u64 << 40, 1_u64 << 40]), "tensors.denoiser.norm: shape"),
        ("/tensors/denoiser.norm/shape", json!([u64::MAX]), "tensors.denoiser.norm: shape"),
        ("/tensors/denoiser.layers.0.wq/shape", json!([1, u64::MAX >> 3]), "tensors.denoiser.layers.0.wq: shape"),
        ("/tensors/denoiser.layers.0.wq/shape", json!([5, 200]), "denoiser.layers.0.wq.q"),
        ("/tensors/denoiser.layers.0.wk/format", json!("q4b32"), "denoiser.layers.0.wk.min"),
    ]
}

#[test]
fn a_wrong_value_is_named() {
    for (place, wrong, message) in wrong_values() {
        let mut model = small_model();
        *model.manifest.pointer_mut(place).unwrap() = wrong.clone();
        let error = model.refusal();
        assert!(error.to_string().contains(message), "{place} = {wrong}: {error}");
        let kind = match message {
            "absent.safetensors" => ErrorKind::File,
            "text-00001.safetensors" => ErrorKind::Integrity,
            _ => ErrorKind::BadModel,
        };
        assert_eq!(error.kind(), kind, "{place} = {wrong}: {error}");
    }
}

/// Calls `change` with every object in `value`.
fn for_each_object(value: &Value, place: &str, change: &mut dyn FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            change(place, map);
            map.iter().for_each(|(name, value)| for_each_object(value, &format!("{place}/{name}"), change));
        }
        Value::Array(list) => (0..).zip(list).for_each(|(index, value)| {
            for_each_object(value, &format!("{place}/{index}"), change);
        }),
        _ => {}
    }
}

#[test]
fn a_field_that_is_missing_or_unknown_is_named() {
    let model = small_model();
    let optional = ["recipe", "tokenizer", "image", "width"];
    for_each_object(&model.manifest, "", &mut |place, map| {
        for name in map.keys().filter(|name| !optional.contains(&name.as_str())) {
            let mut manifest = model.manifest.clone();
            manifest.pointer_mut(place).unwrap().as_object_mut().unwrap().shift_remove(name);
            let error = Model { manifest, files: model.files.clone() }.refusal();
            assert!(error.to_string().contains(name), "{place}/{name}: {error}");
        }
        if !place.ends_with("/config") {
            let mut manifest = model.manifest.clone();
            manifest.pointer_mut(place).unwrap()["surprise"] = json!(1);
            let error = Model { manifest, files: model.files.clone() }.refusal();
            assert_eq!(error.kind(), ErrorKind::BadModel);
            assert!(error.to_string().contains("surprise") || error.to_string().contains("invalid type"), "{error}");
        }
    });
}

#[test]
fn parts_must_be_all_rows_in_order() {
    for (parts, message) in [
        (json!([]), "parts: expected rows up to 6"),
        (json!([{ "file": 2, "rows": [0, 5] }]), "rows up to 6, found 5"),
        (json!([{ "file": 2, "rows": [1, 6] }]), "rows from 0 on"),
        (json!([{ "file": 2, "rows": [0, 0] }]), "rows from 0 on"),
        (json!([{ "file": 2, "rows": [0, 3] }, { "file": 2, "rows": [3, 6] }]), "a file of its own"),
        (json!([{ "file": 2, "rows": [0, 3] }, { "file": 3, "rows": [4, 6] }]), "rows from 3 on"),
        (json!([{ "file": 3, "rows": [0, 6] }]), "that of the first part"),
        (json!([{ "file": 2, "rows": [0, u64::MAX] }]), "rows up to 6"),
        (json!([{ "file": 2, "rows": [0] }]), "invalid length"),
    ] {
        let mut model = small_model();
        model.manifest["tensors"]["denoiser.norm"]["parts"] = parts.clone();
        let error = model.refusal().to_string();
        assert!(error.contains(message), "{parts}: {error}");
    }
}

#[test]
fn names_that_stand_twice_are_refused_at_every_level() {
    let text = small_model().manifest.to_string();
    for (once, twice) in [
        ("\"name\":\"small\"", "\"name\":\"a\",\"name\":\"b\""),
        ("\"width\":8", "\"width\":8,\"width\":9"),
        ("\"multiple\":16", "\"multiple\":16,\"multiple\":16"),
        ("\"tensors\":{", "\"tensors\":{\"denoiser.norm\":{},"),
    ] {
        assert!(text.contains(once));
        let error = Manifest::parse(text.replacen(once, twice, 1).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("stands twice"), "{error}");
    }
}

#[test]
fn depth_and_length_have_limits() {
    let mut model = small_model();
    let mut deep = json!(1);
    for _ in 0..30 {
        deep = json!({ "a": deep });
    }
    model.manifest["components"]["denoiser"]["config"] = deep;
    assert!(model.refusal().to_string().contains("deep"));
    let long = vec![b' '; MAX_MANIFEST_BYTES as usize + 1];
    assert!(Manifest::parse(&long).unwrap_err().to_string().contains("at most"));
    for text in ["", "null", "[]", "{", "{}", "\u{feff}{}", "{\"format\":\"flagdit\",\"version\":1}", "\u{0}"] {
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap_err().kind(), ErrorKind::BadModel, "{text:?}");
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let mut random = Random(11);
    let text = small_model().manifest.to_string().into_bytes();
    for _ in 0..4000 {
        let mut text = text.clone();
        for _ in 0..=random.next() % 4 {
            let index = random.next() as usize % text.len();
            text[index] =
                if random.next().is_multiple_of(2) { random.next() as u8 } else { b"0\"{}[],:9-"[index % 10] };
        }
        text.truncate(if random.next().is_multiple_of(8) { random.next() as usize % text.len() } else { text.len() });
        if let Err(error) = Manifest::parse(&text) {
            assert_eq!(error.kind(), ErrorKind::BadModel);
        }
    }
}
