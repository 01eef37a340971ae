//! Flag-DiT and Next-DiT against Lumina's own (fixtures/flag_dit_t2i, fixtures/next_dit_t2i: their READMEs have the calls),
//! layer by layer, guided, extrapolated, and sampled from noise to latent.

mod support;

use burn::tensor::{Tensor, activation::silu};
use flagdit::model::{
    Caption, FlagDit, FlagDitConfig, LatentShape, Sequence, SequenceOptions, TimeAware, Variant, block::Block,
    modulation::modulate,
};
use flagdit::nn::attention::mask_bias;
use flagdit::sampler::{Guidance, GuidedChannels, Solver, SolverKind, Tolerance, schedule::time_grid};
use flagdit::weights::upstream;
use pollster::block_on;
use serde_json::Value;
use support::{Case, Target, golden::json};

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
    let case = Case::new(family.case, target);
    let calls = json(&format!("{}/config.json", family.case));
    let config: FlagDitConfig = serde_json::from_value(calls["model"].clone()).expect("upstream's arguments are ours");
    let nextline = family.variant == Variant::Flag;
    let config = FlagDitConfig { variant: family.variant, nextline, ..config };
    let weights = format!("{}/consolidated.00-of-01.safetensors", family.case);
    let params = support::params(&[weights.as_str()], family.rename, case.device());
    let model = FlagDit::new(&config, &params).expect("every tensor has its place");

    layer_by_layer(&case, &model);
    pictures_of_three_sizes(&case, &model);
    let golden = support::golden::tensors(&format!("{}/io.safetensors", family.case));
    for (name, kwargs) in entries(&calls["rope_tables"]) {
        rope_table(&case, &model, &format!("rope_{name}"), &golden[&format!("rope_{name}")].shape, kwargs);
    }
    for (name, call) in entries(&calls["cfg_calls"]) {
        let guided = Guided::new(&case, &model, call);
        let t = call["t"].as_f64().expect("a time");
        case.compare(&format!("out_{name}"), guided.velocity(guided.x.clone(), t), NETWORK);
    }
    for (name, call) in entries(&calls["sample_calls"]) {
        let kind = call["solver"].as_str().expect("a name").parse().expect("a solver of ours");
        let tolerance = if kind == SolverKind::Dopri5 { ADAPTIVE } else { NETWORK };
        case.compare(&format!("traj_{name}"), sample(&Guided::new(&case, &model, call), kind, call), tolerance);
    }
    case.finish();
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().expect("calls by name").iter()
}

fn caption(case: &Case, prefix: &str) -> Caption {
    Caption { features: case.tensor(&format!("{prefix}cap_feats")), mask: case.tensor(&format!("{prefix}cap_mask")) }
}

fn layer_by_layer(case: &Case, model: &FlagDit) {
    let (x, t, caption) = (case.tensor::<4>("x"), case.tensor::<1>("t"), caption(case, ""));
    let [_, _, height, width] = x.dims();
    let sequence = model.sequence(LatentShape::picture(height, width), SequenceOptions::default(), case.device());

    let mut tokens = model.tokens(x.clone(), &sequence);
    case.compare("tokens_in", tokens.clone(), LAYER);
    case.compare("t_emb", model.t_embedder.forward(t.clone()), LAYER);
    let embedder = model.cap_embedder.as_ref().expect("a model of captions");
    case.compare("cap_emb", embedder.forward(caption.features.clone(), caption.mask.clone()), LAYER);
    let prepared = model.prepare(&caption);
    let conditioning = model.conditioning(t.clone(), &prepared);
    case.compare("adaln_input", conditioning.clone(), LAYER);

    inside_a_block(case, &model.layers[0], tokens.clone(), conditioning.clone(), &sequence, &caption);
    for (i, (layer, keys)) in model.layers.iter().zip(&prepared.keys).enumerate() {
        tokens = layer.forward(tokens, conditioning.clone(), &sequence, keys.as_ref());
        case.compare(&format!("block{i}_out"), tokens.clone(), LAYER);
    }
    case.compare("final_layer_out", model.final_layer.forward(tokens, conditioning), NETWORK);
    case.compare("out_forward", model.forward(x, t, &caption, &sequence), NETWORK);
}

fn inside_a_block(
    case: &Case,
    block: &Block,
    x: Tensor<3>,
    conditioning: Tensor<2>,
    sequence: &Sequence,
    caption: &Caption,
) {
    case.compare("block0_adaLN_out", block.modulation.linear.forward(silu(conditioning.clone())), LAYER);
    let norm = block.attention_y_norm.as_ref().expect("a model of captions");
    let features = norm.forward(caption.features.clone());
    case.compare("block0_attention_y_norm_out", features.clone(), LAYER);

    let (shifts, scale_1, gate_1, scale_2) = match &block.attention_post_norm {
        None => {
            let [shift_1, scale_1, gate_1, shift_2, scale_2, _] = block.modulation.forward(conditioning);
            ([Some(shift_1), Some(shift_2)], scale_1, gate_1, scale_2)
        }
        Some(_) => {
            let [scale_1, gate_1, scale_2, _] = block.modulation.forward(conditioning);
            ([None, None], scale_1, gate_1.tanh(), scale_2)
        }
    };
    let [shift_1, shift_2] = shifts;
    let keys = block.attention.caption_keys(features, mask_bias(caption.mask.clone()));
    let h = modulate(block.attention_norm.forward(x.clone()), shift_1, scale_1);
    let attention = block.attention.forward(h, sequence, keys.as_ref());
    case.compare("block0_attention_out", attention.clone(), LAYER);
    let attention = match &block.attention_post_norm {
        Some(norm) => norm.forward(attention),
        None => attention,
    };
    let h = modulate(block.ffn_norm.forward(x + gate_1 * attention), shift_2, scale_2);
    case.compare("block0_feed_forward_out", block.feed_forward.forward(h), LAYER);
}

fn pictures_of_three_sizes(case: &Case, model: &FlagDit) {
    let pictures: Vec<Tensor<3>> = (0..3).map(|i| case.tensor(&format!("list_x_{i}"))).collect();
    let out = model.forward_list(&pictures, case.tensor("list_t"), &caption(case, "list_"));
    for (i, picture) in out.into_iter().enumerate() {
        case.compare(&format!("out_list_{i}"), picture, NETWORK);
    }

    // The batch as upstream pads it.
    let longest = case.tensor::<2>("list_mask").dims()[1];
    let padded = |picture: &Tensor<3>| {
        let [_, height, width] = picture.dims();
        let shape = LatentShape::picture(height, width);
        let sequence = model.sequence(shape, SequenceOptions::default(), case.device());
        let layout = sequence.layout;
        let tokens = model.tokens(picture.clone().unsqueeze_dim(0), &sequence);
        let mask = Tensor::<2>::ones([1, layout.tokens()], case.device());
        match longest - layout.tokens() {
            0 => (tokens, mask),
            missing => {
                let width = tokens.dims()[2];
                let pad = model.pad_token.as_ref().expect("a model of captions");
                let pad = pad.val().reshape([1, 1, width]).repeat_dim(1, missing); // [1, missing, D]
                let rest = Tensor::zeros([1, missing], case.device());
                (Tensor::cat(vec![tokens, pad], 1), Tensor::cat(vec![mask, rest], 1))
            }
        }
    };
    let (tokens, masks) = pictures.iter().map(padded).unzip();
    case.compare("list_tokens_in", Tensor::cat(tokens, 0), LAYER);
    case.compare("list_mask", Tensor::cat(masks, 0), 0.0);
}

/// The fixture has one (cosine, sine) a pair of features, we have one a feature.
fn rope_table(case: &Case, model: &FlagDit, name: &str, shape: &[usize], kwargs: &Value) {
    // Flag-DiT's is [tokens, pairs, 2], Next-DiT's [rows, cols, pairs, 2].
    let [height, width] = match *shape {
        // A latent whose tokens and [nextline]s are as many as the table has positions.
        [tokens, _, _] => [2 * 4, 2 * (tokens / 4 - 1)],
        [rows, cols, ..] => [2 * rows, 2 * cols],
        _ => panic!("{name}: {shape:?}"),
    };
    let pairs = shape[shape.len() - 2];
    let tokens = shape.iter().product::<usize>() / (2 * pairs);
    let sequence = model.sequence(LatentShape::picture(height, width), options(kwargs), case.device());
    let (cos, sin) = sequence.at(kwargs["timestep"].as_f64().unwrap_or(0.0)).rope.tables();
    let of_pairs = |table: Tensor<4>, feature| table.reshape([tokens, pairs, 2]).narrow(2, feature, 1); // [N, pairs, 1]
    for feature in 0..2 {
        let found = Tensor::cat(vec![of_pairs(cos.clone(), feature), of_pairs(sin.clone(), feature)], 2);
        match *shape {
            [rows, cols, _, _] => case.compare(name, found.reshape([rows, cols, pairs, 2]), ANGLES), // [R, C, pairs, 2]
            _ => case.compare(name, found, ANGLES),
        }
    }
}

fn options(kwargs: &Value) -> SequenceOptions {
    let is_proportional = kwargs["proportional_attn"].as_bool().unwrap_or(false);
    let time_aware = |scale| TimeAware { scale, watershed: kwargs["scale_watershed"].as_f64().expect("a time") };
    SequenceOptions {
        time_aware: kwargs["scale_factor"].as_f64().map(time_aware),
        ntk_factor: kwargs["ntk_factor"].as_f64(),
        rope_scaling_factor: kwargs["rope_scaling_factor"].as_f64(),
        base_tokens: is_proportional.then(|| kwargs["base_seqlen"].as_u64().expect("a length") as usize),
    }
}

/// Upstream's `forward_with_cfg`: the first half of a batch is conditional, the second unconditional.
struct Guided<'a> {
    model: &'a FlagDit,
    x: Tensor<4>,
    caption: Caption,
    sequence: Sequence,
    guidance: Guidance,
}

impl<'a> Guided<'a> {
    /// Channels that upstream guides.
    const CHANNELS: usize = 3;

    fn new(case: &Case, model: &'a FlagDit, call: &Value) -> Self {
        let (inputs, kwargs) = (call["inputs"].as_str().expect("a prefix"), &call["kwargs"]);
        let x = case.tensor::<4>(&format!("{inputs}_x"));
        let [_, _, height, width] = x.dims();
        let scale = kwargs["cfg_scale"].as_f64().expect("a scale");
        Self {
            model,
            caption: caption(case, &format!("{inputs}_")),
            sequence: model.sequence(LatentShape::picture(height, width), options(kwargs), case.device()),
            guidance: Guidance { scale, channels: GuidedChannels::First(Self::CHANNELS) },
            x: Tensor::cat(vec![x.clone().narrow(0, 0, x.dims()[0] / 2); 2], 0),
        }
    }

    /// Both halves get the guided channels, and keep the others as they were predicted for them.
    fn velocity(&self, x: Tensor<4>, t: f64) -> Tensor<4> {
        let [rows, channels, ..] = x.dims();
        let half = rows / 2;
        let x = Tensor::cat(vec![x.narrow(0, 0, half); 2], 0);
        let times = Tensor::full([rows], t, &x.device());
        let out = self.model.forward(x, times, &self.caption, &self.sequence.at(t));
        let [conditional, unconditional] = [out.clone().narrow(0, 0, half), out.narrow(0, half, half)];
        let plain = unconditional.clone().narrow(1, Self::CHANNELS, channels - Self::CHANNELS);
        let first = self.guidance.combine(conditional, unconditional);
        let second = Tensor::cat(vec![first.clone().narrow(1, 0, Self::CHANNELS), plain], 1);
        Tensor::cat(vec![first, second], 0)
    }
}

/// The conditional rows at every point of the grid, `[points, prompts, C, H, W]`. The solver carries both halves, for
/// upstream's step controller looks at both.
fn sample(guided: &Guided<'_>, kind: SolverKind, call: &Value) -> Tensor<5> {
    let points = call["num_sampling_steps"].as_u64().expect("a count") as usize;
    let grid = time_grid(points - 1, call["time_shifting_factor"].as_f64().expect("a factor"));
    let start = guided.x.clone();
    let mut solver = Solver::new(kind, grid, Tolerance::default(), start.clone()).expect("a valid solver");
    let mut velocity = async |x: Tensor<4>, t: f64| Ok(guided.velocity(x, t));
    let mut states = vec![start];
    while solver.done() < solver.intervals() {
        states.push(block_on(solver.step(&mut velocity)).expect("a finite velocity"));
    }
    let prompts = guided.x.dims()[0] / 2;
    let conditional = |x: Tensor<4>| x.narrow(0, 0, prompts).unsqueeze_dim::<5>(0);
    Tensor::cat(states.into_iter().map(conditional).collect(), 0)
}
