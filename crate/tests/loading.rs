//! Matrices so large that they go to a GPU part by part, and are put together there: they are those of the files.

use std::rc::Rc;

use flagdit::{
    Device,
    quant::Format,
    sampler::noise,
    weights::{
        self, Manifest, Reader, Writer,
        params::{Init, Params, Weight},
    },
};
use pollster::block_on;
use serde_json::json;

/// More than a part of either is: 16 MiB, as they lie on the device.
const MATRICES: [(&str, [usize; 2], Format); 2] =
    [("dense", [4200, 1024], Format::F32), ("codes", [17_000, 1024], Format::Q8B32)];
/// A matrix that goes in one.
const SMALL: (&str, [usize; 2], Format) = ("small", [30, 64], Format::Q4AB32);
/// Between codes that are expanded here and there: a scale is multiplied by a code in f32.
const ROUNDING: f32 = 1e-6;

fn manifest() -> Manifest {
    let component = json!({ "architecture": "none", "config": {} });
    serde_json::from_value(json!({
        "format": "flagdit", "version": 1, "name": "large", "license": "MIT", "created_by": "test", "modalities": ["image"],
        "sizes": { "image": { "native": [64, 64], "multiple": 16, "max": [256, 128] } },
        "components": { "denoiser": component },
        "sampling": { "image": { "steps": 20, "solver": "midpoint", "guidance": 4.0, "time_shift": 4.0 } },
        "recipe": [], "files": [], "tensors": {},
    }))
    .expect("a manifest")
}

#[test]
fn large_matrices_are_put_together_on_the_gpu() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("model");
    let mut writer = Writer::new(&path).expect("a new folder");
    for (seed, (name, shape, format)) in (0..).zip(MATRICES.into_iter().chain([SMALL])) {
        let values = noise::normal(seed, 0, shape.iter().product());
        writer.add(&format!("denoiser.{name}"), &shape, &values, format).expect("a matrix");
    }
    writer.finish(manifest()).expect("a model folder");

    let reader = block_on(Reader::open(Rc::new(weights::folder(&path)))).expect("a model folder");
    let device = block_on(Device::gpu(None)).expect("lavapipe is installed by `cargo xtask test`");
    let mut moved = Vec::new();
    let params = block_on(Params::load(&reader, "denoiser", &device, &mut |bytes| moved.push(bytes)));
    let params = params.expect("its parameters");
    assert!(moved.len() > MATRICES.len() + 1, "in one part each: {moved:?}");
    let in_files: u64 = reader.names_of("denoiser").map(|name| reader.bytes(name)).sum();
    assert_eq!(moved.iter().sum::<u64>(), in_files);

    for (name, shape, format) in MATRICES.into_iter().chain([SMALL]) {
        let expected = block_on(reader.tensor(&format!("denoiser.{name}"))).expect("a tensor").values;
        let found = match params.matrix(name, shape, Init::Zeros) {
            Weight::Dense(matrix) if format == Format::F32 => matrix.val(),
            Weight::Quantized(matrix) if format != Format::F32 => matrix.dequantize(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(found.dims(), shape);
        let found: Vec<f32> = found.into_data().iter().collect();
        let differs = |(found, expected): (&f32, &f32)| (found - expected).abs() > ROUNDING * expected.abs();
        assert_eq!(found.iter().zip(&expected).position(differs), None, "{name}");
    }
    assert_eq!(params.finish("what was written"), Ok(()));
}
