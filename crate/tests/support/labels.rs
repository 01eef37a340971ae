//! A small random model of labels, as its authors would have written it.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use flagdit::model::{FlagDit, FlagDitConfig};
use flagdit::sampler::noise;
use flagdit::weights::params::{Init, Listed, Params};
use flagdit::weights::upstream;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

/// The classes it knows.
pub const CLASSES: usize = 7;
/// Latent pixels along each side that it is said to be trained for.
pub const INPUT_SIZE: usize = 8;

/// Its file of tensors.
pub const CHECKPOINT: &str = "labels.safetensors";
/// Its arguments, beside `input_size` and one that only training needs.
pub const ARGUMENTS: &str = "config.json";

/// A tensor by our name: its shape and values.
type Tensor = (String, Vec<usize>, Vec<f32>);

/// Writes [`CHECKPOINT`] and [`ARGUMENTS`] into `folder`; `variant` is `flag` or `next`. What was written.
pub fn write(folder: &Path, variant: &str) -> (FlagDitConfig, Vec<Tensor>) {
    let mut arguments = json!({
        "patch_size": 2, "in_channels": 4, "dim": 48, "n_layers": 2, "n_heads": 4, "multiple_of": 32,
        "norm_eps": 1e-5, "learn_sigma": true, "qk_norm": true, "num_classes": CLASSES
    });
    let config = config(&arguments, variant);
    let listing = Params::listing(&Device::flex());
    FlagDit::new(&config, &listing).expect("a possible network");
    let tensors: Vec<_> = listing.listed().into_iter().zip(0..).map(drawn).collect();
    let restore = match variant {
        "flag" => upstream::original_flag_dit_of_labels,
        _ => upstream::original_next_dit_of_labels,
    };
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let stored: BTreeMap<_, _> =
        tensors.iter().map(|(name, shape, values)| (restore(name), (shape.clone(), bytes(values)))).collect();
    let views = stored.iter().map(|(name, (shape, bytes))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many bytes as the shape has"))
    });
    safetensors::serialize_to_file(views, None, &folder.join(CHECKPOINT)).expect("a file that can be written");
    arguments["input_size"] = INPUT_SIZE.into();
    arguments["class_dropout_prob"] = 0.1.into();
    std::fs::write(folder.join(ARGUMENTS), arguments.to_string()).expect("a file that can be written");
    (config, tensors)
}

fn config(arguments: &Value, variant: &str) -> FlagDitConfig {
    let mut arguments = arguments.clone();
    arguments["variant"] = variant.into();
    arguments["nextline"] = false.into();
    serde_json::from_value(arguments).expect("a configuration")
}

/// Matrices keep the variance of what they are multiplied with; labels differ as much as they can.
fn drawn((Listed { name, shape, init }, number): (Listed, u64)) -> Tensor {
    let mean = if init == Init::Ones { 1.0 } else { 0.0 };
    let deviation = match *shape {
        _ if name.starts_with("y_embedder") => 1.0,
        [_, inputs] => (inputs as f32).sqrt().recip(),
        _ => 0.1,
    };
    let values = noise::normal(11, number, shape.iter().product());
    (name, shape, values.into_iter().map(|value| mean + deviation * value).collect())
}
