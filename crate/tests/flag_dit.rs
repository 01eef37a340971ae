//! Flag-DiT and Next-DiT against Lumina's own (fixtures/flag_dit_t2i, fixtures/next_dit_t2i: their READMEs have the calls),
//! layer by layer, guided, extrapolated, and sampled from noise to latent.

mod support;

use flagdit::check::{Comparing, denoiser};
use flagdit::model::{FlagDit, FlagDitConfig, Variant};
use flagdit::weights::upstream;
use pollster::block_on;
use support::{Target, golden::json, verify};

/// A few layers of f32 arithmetic in another order; upstream itself is 1e-6 to 3e-5 away from its own run in f64.
const LAYER: f64 = 5e-5;
/// The same through the whole network, and through a few steps of a solver.
const NETWORK: f64 = 1e-4;
/// dopri5's first error estimate is rounding noise, so its steps differ from one correct implementation to the next.
const ADAPTIVE: f64 = 5e-3;
/// Cosines of f32 angles up to 27: the angles' own rounding.
const ANGLES: f64 = 5e-6;

#[test]
fn flag_dit_is_matched_on_the_cpu() {
    check(&FLAG_DIT, &support::cpu());
}

#[test]
fn flag_dit_is_matched_on_the_gpu() {
    check(&FLAG_DIT, &support::software_gpu());
}

#[test]
fn next_dit_is_matched_on_the_cpu() {
    check(&NEXT_DIT, &support::cpu());
}

#[test]
fn next_dit_is_matched_on_the_gpu() {
    check(&NEXT_DIT, &support::software_gpu());
}

/// One of upstream's models.
struct Family {
    case: &'static str,
    variant: Variant,
    rename: fn(&str) -> Option<String>,
}

const FLAG_DIT: Family = Family { case: "flag_dit_t2i", variant: Variant::Flag, rename: upstream::flag_dit };
const NEXT_DIT: Family = Family { case: "next_dit_t2i", variant: Variant::Next, rename: upstream::next_dit };

fn check(family: &Family, target: &Target) {
    let arguments = json(&format!("{}/config.json", family.case))["model"].clone();
    let config: FlagDitConfig = serde_json::from_value(arguments).expect("upstream's arguments are ours");
    let nextline = family.variant == Variant::Flag;
    let config = FlagDitConfig { variant: family.variant, nextline, ..config };
    let weights = format!("{}/consolidated.00-of-01.safetensors", family.case);
    let params = support::params(&[weights.as_str()], family.rename, &target.device);
    let model = FlagDit::new(&config, &params).expect("every tensor has its place");

    let reference = support::reference(family.case);
    let comparing = Comparing::new(&reference, &target.device);
    block_on(denoiser::check(&comparing, &model)).expect("a reference of this model");
    let tolerance = |name: &str| match name {
        "list_mask" => 0.0,
        "final_layer_out" => NETWORK,
        _ if name.starts_with("rope_") => ANGLES,
        _ if name.starts_with("traj_dopri5") => ADAPTIVE,
        _ if name.starts_with("traj_") || name.starts_with("out_") => NETWORK,
        _ => LAYER,
    };
    verify(family.case, target, &comparing.finish(true), tolerance);
}
