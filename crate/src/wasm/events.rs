//! Events as JavaScript sees them: JSON-like, with pictures, sounds and files as bytes.

use js_sys::{Array, Float32Array, Object, Reflect, Uint8Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::json;
use crate::{
    output::{Format, files},
    progress::{Event, Image, LoadProgress, Output, Settings, Stage, Timings},
};

/// An event as JavaScript sees it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message<'a> {
    Stage {
        stage: Stage,
    },
    Load {
        loaded: u64,
        total: u64,
    },
    Warning {
        message: String,
    },
    Step {
        step: usize,
        steps: usize,
    },
    Decode {
        done: usize,
        total: usize,
    },
    Preview,
    #[serde(rename_all = "camelCase")]
    Done {
        settings: &'a Settings,
        timings: Timings,
        stats: Stats,
        #[serde(skip_serializing_if = "Option::is_none")]
        sample_rate: Option<u32>,
        /// Files that could not be made of it, and why.
        warnings: Vec<String>,
    },
}

/// What the engine knows of the cost; JavaScript adds its memory.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    shader_launches: u64,
}

/// `shader_launches`: those of our own shaders since the generation began.
pub(super) fn message(event: Event, shader_launches: u64) -> std::result::Result<JsValue, JsValue> {
    match event {
        Event::Stage(stage) => json(&Message::Stage { stage }),
        Event::Load(LoadProgress { loaded, total, .. }) => json(&Message::Load { loaded, total }),
        Event::Warning(message) => json(&Message::Warning { message }),
        Event::Step { step, steps } => json(&Message::Step { step, steps }),
        Event::Decode { done, total } => json(&Message::Decode { done, total }),
        Event::Preview(frames) => {
            let message = json(&Message::Preview)?;
            Reflect::set(&message, &"frames".into(), &pictures(&frames)?)?;
            Ok(message)
        }
        Event::Done(output) => done(&output, Stats { shader_launches }),
    }
}

/// What pages offer to download.
const FORMATS: [Format; 5] = [Format::Png, Format::Gif, Format::Apng, Format::Glb, Format::Wav];

/// The output: frames for a canvas, samples for a player, and files by media type.
fn done(output: &Output, stats: Stats) -> std::result::Result<JsValue, JsValue> {
    let Output { kind, frames, waveform, settings, timings } = output;
    let files = Object::new();
    let mut warnings = Vec::new();
    for &format in FORMATS.iter().filter(|format| files::formats(*kind).contains(format)) {
        match files::file(output, format, true) {
            Ok(bytes) => drop(Reflect::set(&files, &format.media_type().into(), &Uint8Array::from(bytes.as_slice()))?),
            Err(error) => warnings.push(error.to_string()),
        }
    }
    let sample_rate = waveform.as_ref().map(|waveform| waveform.sample_rate);
    let message = json(&Message::Done { settings, timings: *timings, stats, sample_rate, warnings })?;
    Reflect::set(&message, &"frames".into(), &pictures(frames)?)?;
    Reflect::set(&message, &"files".into(), &files)?;
    if let Some(waveform) = waveform {
        Reflect::set(&message, &"samples".into(), &Float32Array::from(waveform.samples.as_slice()))?;
    }
    Ok(message)
}

fn pictures(images: &[Image]) -> std::result::Result<JsValue, JsValue> {
    Ok(images.iter().map(picture).collect::<std::result::Result<Array, JsValue>>()?.into())
}

/// Width, height and RGBA bytes, which is what a canvas takes.
fn picture(image: &Image) -> std::result::Result<JsValue, JsValue> {
    let rgba: Vec<u8> = image.rgb.chunks_exact(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], u8::MAX]).collect();
    let picture = Object::new();
    Reflect::set(&picture, &"width".into(), &(image.width as f64).into())?;
    Reflect::set(&picture, &"height".into(), &(image.height as f64).into())?;
    Reflect::set(&picture, &"rgba".into(), &Uint8Array::from(rgba.as_slice()))?;
    Ok(picture.into())
}
