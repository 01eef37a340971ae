//! The text in which stable-diffusion-webui describes a picture:
//!
//! ```text
//! a red star
//! Negative prompt: blue
//! Steps: 20, Sampler: midpoint, CFG scale: 4, Seed: 7, Size: 64x64, …
//! ```
//!
//! Same rules as `modules/infotext_utils.py` there: a value with a comma, a colon or a line break is a JSON string.

use super::Recorded;
use crate::progress::Settings;
use crate::request::{Kind, Request};

const NEGATIVE: &str = "Negative prompt: ";
/// A last line with fewer entries belongs to the prompt.
const FEWEST_ENTRIES: usize = 3;
/// How much of a hash webui shows.
const HASH_DIGITS: usize = 10;
/// The solvers whose names are understood in other programs' pictures; their samplers are others.
const SOLVERS: [&str; 5] = ["euler", "midpoint", "heun", "rk4", "dopri5"];

/// The description of a picture made with `settings`.
pub(super) fn text(settings: &Settings) -> String {
    let Settings { prompt, negative_prompt, width, height, steps, guidance, solver, time_shift, seed, .. } = settings;
    let negative = if negative_prompt.is_empty() { String::new() } else { format!("{NEGATIVE}{negative_prompt}\n") };
    let class = settings.class.map_or(String::new(), |class| format!("Class: {class}, "));
    let model = quote(&settings.model);
    let hash: String = settings.model_hash.chars().take(HASH_DIGITS).collect();
    format!(
        "{prompt}\n{negative}Steps: {steps}, Sampler: {solver}, CFG scale: {guidance}, Seed: {seed}, \
         Size: {width}x{height}, {class}Time shift: {time_shift}, Model: {model}, Model hash: {hash}, Version: flagdit {}",
        env!("CARGO_PKG_VERSION")
    )
}

fn quote(value: &str) -> String {
    if value.contains([',', ':', '\n', '"']) { serde_json::Value::from(value).to_string() } else { value.into() }
}

/// What a description says, or nothing if it is none.
pub(super) fn parse(text: &str) -> Option<Recorded> {
    let text = text.trim_end();
    let (before, last) = text.rsplit_once('\n').unwrap_or(("", text));
    let entries = entries(last);
    if entries.len() < FEWEST_ENTRIES {
        return None;
    }
    let value = |name: &str| entries.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    let (prompt, negative) = prompts(before);
    let (width, height) = value("Size").and_then(size).unzip();
    let solver = value("Sampler").map(str::to_lowercase).filter(|name| SOLVERS.contains(&name.as_str()));
    let request = Request {
        class: value("Class").and_then(|class| class.parse().ok()),
        negative_prompt: negative,
        width,
        height,
        steps: value("Steps").and_then(|steps| steps.parse().ok()),
        guidance: value("CFG scale").and_then(|scale| scale.parse().ok()),
        solver,
        time_shift: value("Time shift").and_then(|shift| shift.parse().ok()),
        seed: value("Seed").and_then(|seed| seed.parse().ok()).unwrap_or(0),
        ..Request::new(Kind::Image, prompt)
    };
    let owned = |name: &str| value(name).map(str::to_owned);
    Some(Recorded { request, model: owned("Model"), model_hash: owned("Model hash") })
}

/// The prompt and the negative prompt, each of which may have several lines.
fn prompts(text: &str) -> (String, String) {
    let mut prompt: Vec<&str> = Vec::new();
    let mut negative: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (line.strip_prefix(NEGATIVE.trim_end()), &mut negative) {
            (Some(rest), None) => negative = Some(vec![rest.trim_start()]),
            (_, Some(lines)) => lines.push(line),
            (_, None) => prompt.push(line),
        }
    }
    (prompt.join("\n"), negative.unwrap_or_default().join("\n"))
}

/// `name: value, name: "quoted value", …`
fn entries(line: &str) -> Vec<(&str, String)> {
    let mut rest = line.trim_start();
    let mut entries = Vec::new();
    while let Some((name, after)) = rest.split_once(':') {
        let after = after.trim_start();
        let (value, next) = match quoted(after) {
            Some(found) => found,
            None => {
                let (value, next) = after.split_once(',').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        entries.push((name.trim(), value));
        rest = next.trim_start_matches([',', ' ']);
    }
    entries
}

/// A JSON string at the start of `text`, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    if !text.starts_with('"') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next()?.ok()?;
    let end = values.byte_offset();
    Some((value, &text[end..]))
}

fn size(text: &str) -> Option<(usize, usize)> {
    let (width, height) = text.split_once('x')?;
    Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
}
