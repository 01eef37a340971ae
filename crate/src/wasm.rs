//! The browser's face: the JavaScript classes that `web/src/worker.ts` drives. Thin: values in and out, nothing else.
//!
//! What crosses the boundary is JSON-like (`serde-wasm-bindgen`), pictures are bytes. Errors are JavaScript `Error`s with
//! the stable `code` of [`ErrorKind`]. A panic cannot be caught here: the hook hands its message to the page, and the
//! worker is at its end.

use std::{future::poll_fn, pin::Pin, rc::Rc};

use futures_core::Stream;
use js_sys::{Array, Float32Array, Function, Object, Reflect, Uint8Array};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wasm_bindgen::prelude::*;

use crate::{
    bench,
    device::{Capacity, Device, Kind},
    error::{Error, ErrorKind, Result},
    kernels,
    output::{Format, files},
    pipeline::Pipeline,
    plan::{Blueprint, Plan},
    progress::{Event, Image, LoadProgress, Output, Settings, Timings},
    request::Request,
    weights::{ByteSource, LocalFuture},
};

#[wasm_bindgen]
extern "C" {
    /// Where JavaScript gets a model's bytes from (`web/src/weights.ts`).
    #[wasm_bindgen(typescript_type = "ByteSource")]
    pub type JsSource;
    #[wasm_bindgen(method, getter)]
    fn name(this: &JsSource) -> String;
    #[wasm_bindgen(method, catch)]
    async fn size(this: &JsSource, path: &str) -> std::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn read(this: &JsSource, path: &str, offset: f64, length: f64) -> std::result::Result<JsValue, JsValue>;
}

#[wasm_bindgen(typescript_custom_section)]
const SOURCE: &str = "
/** Files of a model by path, read piece by piece. */
export interface ByteSource {
  readonly name: string;
  size(path: string): Promise<number>;
  read(path: string, offset: number, length: number): Promise<Uint8Array>;
}";

impl ByteSource for JsSource {
    fn size<'a>(&'a self, path: &'a str) -> LocalFuture<'a, Result<u64>> {
        Box::pin(async move {
            let size = self.size(path).await.map_err(|error| from_js(path, &error))?;
            Ok(size.as_f64().unwrap_or_default() as u64)
        })
    }

    fn read<'a>(&'a self, path: &'a str, offset: u64, length: usize) -> LocalFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            let bytes = self.read(path, offset as f64, length as f64).await.map_err(|error| from_js(path, &error))?;
            Ok(Uint8Array::new(&bytes).to_vec())
        })
    }

    fn name(&self) -> String {
        self.name()
    }
}

unsafe extern "C" {
    /// The linker's: runs the constructors of all crates.
    fn __wasm_call_ctors();
}

/// Runs the constructors (CubeCL registers some thousand operations in them) once. Where nothing names their function, the
/// linker takes the module for a command, which runs from its start at every call, and has every export run them first:
/// nine tenths of the time on a GPU went there.
#[wasm_bindgen(start)]
pub fn start() {
    // SAFETY: the linker defines it, it takes and returns nothing, and this is the only call.
    unsafe { __wasm_call_ctors() }
}

/// Calls `report` with the message of a panic, before the engine ends.
#[wasm_bindgen(js_name = onPanic)]
pub fn on_panic(report: Function) {
    // The hook must be `Send`; there is one thread.
    thread_local!(static REPORT: std::cell::RefCell<Option<Function>> = const { std::cell::RefCell::new(None) });
    REPORT.set(Some(report));
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        REPORT.with_borrow(|report| {
            if let Some(report) = report {
                let _ = report.call1(&JsValue::NULL, &info.to_string().into()); // Nobody is left to tell.
            }
        });
    }));
}

/// A model on a device.
#[wasm_bindgen]
pub struct Engine {
    pipeline: Rc<Pipeline>,
}

#[wasm_bindgen]
impl Engine {
    /// Reads the model from `source`, checks it and moves it to `device` (`auto`, `gpu` or `cpu`), of which it takes at
    /// most `memory` bytes if somebody says so. A GPU compiles what it needs now, not at the first picture. `report` is
    /// called with a `LoadProgress`.
    pub async fn open(
        source: JsSource,
        device: String,
        memory: Option<f64>,
        report: Function,
    ) -> std::result::Result<Engine, JsValue> {
        let mut progress = |progress: LoadProgress| {
            if let Ok(progress) = json(&progress) {
                let _ = report.call1(&JsValue::NULL, &progress); // Whoever reports an error there hears of it there.
            }
        };
        let open = async {
            let device = Device::parse(&device).await?.within(memory.map(|bytes| bytes as u64));
            let pipeline = Pipeline::open_with(source, device, &mut progress).await?;
            if pipeline.device().kind() != Kind::Cpu {
                pipeline.warm_up(&mut progress).await?;
            }
            Ok(pipeline)
        };
        Ok(Self { pipeline: Rc::new(open.await.map_err(to_js)?) })
    }

    /// What the model says of itself.
    #[wasm_bindgen(getter)]
    pub fn manifest(&self) -> std::result::Result<JsValue, JsValue> {
        json(self.pipeline.manifest())
    }

    /// SHA-256 of the manifest, which pins every byte of the model.
    #[wasm_bindgen(getter)]
    pub fn identity(&self) -> String {
        self.pipeline.identity().to_owned()
    }

    /// Where it runs.
    #[wasm_bindgen(getter)]
    pub fn device(&self) -> std::result::Result<JsValue, JsValue> {
        let device = self.pipeline.device();
        json(&DeviceState { kind: device.kind().name(), name: device.name(), warning: device.warning() })
    }

    /// Begins to generate. Freeing what is returned ends it.
    pub fn generate(&self, request: JsValue) -> std::result::Result<Generation, JsValue> {
        let request: Request = value("request", request)?;
        Ok(Generation { events: Box::pin(events(Rc::clone(&self.pipeline), request)), launches: kernels::launches() })
    }
}

/// What a request would take of a device ([`Plan`]), told from the text of a manifest alone.
#[wasm_bindgen(js_name = planMemory)]
pub fn plan_memory(manifest: &str, request: JsValue, device: JsValue) -> std::result::Result<JsValue, JsValue> {
    let request: Request = value("request", request)?;
    let device: PlannedDevice = value("device", device)?;
    let plan = || {
        let blueprint = Blueprint::parse(manifest.as_bytes())?;
        Plan::new(&blueprint, &blueprint.settings(&request)?, device.capacity())
    };
    json(&plan().map_err(to_js)?)
}

/// What JavaScript knows of a device.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlannedDevice {
    is_gpu: bool,
    memory: Option<u64>,
    max_buffer: Option<u64>,
    max_binding: Option<u64>,
}

impl PlannedDevice {
    fn capacity(&self) -> Capacity {
        let limit = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let device = match self.is_gpu {
            true => Capacity::gpu(limit(self.max_buffer), limit(self.max_binding)),
            false => Capacity::cpu(),
        };
        device.within(self.memory)
    }
}

/// How fast the model of `source` is on `device`: what `flagdit bench --json` prints. `report` is called with a
/// `LoadProgress`, or with the stage `measure` and how many steps are counted.
#[wasm_bindgen(js_name = bench)]
pub async fn measure(
    source: JsSource,
    device: String,
    options: JsValue,
    report: Function,
) -> std::result::Result<JsValue, JsValue> {
    let options: bench::Options = value("bench", options)?;
    let mut progress = |progress| {
        let progress = match progress {
            bench::Progress::Load(load) => json(&load),
            bench::Progress::WarmUp => json(&Measuring::new(0, bench::LEAST)),
            bench::Progress::Steps { done, least } => json(&Measuring::new(done, least.max(done))),
        };
        if let Ok(progress) = progress {
            let _ = report.call1(&JsValue::NULL, &progress); // Whoever reports an error there hears of it there.
        }
    };
    let measured = async { bench::run(source, Device::parse(&device).await?, &options, &mut progress).await };
    json(&measured.await.map_err(to_js)?)
}

/// Progress of a measurement, as that of loading is told.
#[derive(Serialize)]
struct Measuring {
    stage: &'static str,
    loaded: usize,
    total: usize,
}

impl Measuring {
    fn new(loaded: usize, total: usize) -> Self {
        Self { stage: "measure", loaded, total }
    }
}

/// What our shaders compute on a device against the CPU: `[{ name, error }]`, the relative error of each product.
#[cfg(feature = "gpu")]
#[wasm_bindgen(js_name = compareKernels)]
pub async fn compare_kernels(device: String) -> std::result::Result<JsValue, JsValue> {
    let compare = async { kernels::compare(Device::parse(&device).await?.burn()).await };
    json(&compare.await.map_err(to_js)?)
}

/// The complete source of every variant of every shader, by name: `[[name, source]]`.
#[cfg(feature = "gpu")]
#[wasm_bindgen(js_name = shaderSources)]
pub fn shader_sources() -> std::result::Result<JsValue, JsValue> {
    json(&kernels::sources())
}

#[derive(Serialize)]
struct DeviceState<'a> {
    kind: &'a str,
    name: &'a str,
    warning: Option<&'a str>,
}

/// The pipeline's events, in a stream that owns the pipeline.
fn events(pipeline: Rc<Pipeline>, request: Request) -> impl Stream<Item = Result<Event>> {
    async_stream::stream! {
        let mut events = std::pin::pin!(pipeline.generate(request));
        while let Some(event) = poll_fn(|context| events.as_mut().poll_next(context)).await {
            yield event;
        }
    }
}

/// A generation under way.
#[wasm_bindgen]
pub struct Generation {
    events: Pin<Box<dyn Stream<Item = Result<Event>>>>,
    /// Launches of our shaders before it began.
    launches: u64,
}

#[wasm_bindgen]
impl Generation {
    /// The next event; `undefined` after the last.
    pub async fn next(&mut self) -> std::result::Result<JsValue, JsValue> {
        match poll_fn(|context| self.events.as_mut().poll_next(context)).await {
            None => Ok(JsValue::UNDEFINED),
            Some(event) => message(event.map_err(to_js)?, kernels::launches() - self.launches),
        }
    }
}

/// An event as JavaScript sees it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message<'a> {
    Stage {
        stage: crate::progress::Stage,
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
fn message(event: Event, shader_launches: u64) -> std::result::Result<JsValue, JsValue> {
    match event {
        Event::Stage(stage) => json(&Message::Stage { stage }),
        Event::Load(LoadProgress { loaded, total, .. }) => json(&Message::Load { loaded, total }),
        Event::Warning(message) => json(&Message::Warning { message }),
        Event::Step { step, steps } => json(&Message::Step { step, steps }),
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

fn value<T: DeserializeOwned>(subject: &str, value: JsValue) -> std::result::Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|error| to_js(Error::bad_request(subject).found(error.to_string())))
}

fn json(value: &impl Serialize) -> std::result::Result<JsValue, JsValue> {
    Ok(value.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
}

fn to_js(error: Error) -> JsValue {
    let js = js_sys::Error::new(&error.to_string());
    let _ = Reflect::set(&js, &"code".into(), &error.kind().code().into()); // An object takes any property.
    js.into()
}

/// What JavaScript threw while it was asked for `path`, with its code.
fn from_js(path: &str, error: &JsValue) -> Error {
    let property = |name: &str| Reflect::get(error, &name.into()).ok().and_then(|value| value.as_string());
    let kind = property("code").and_then(|code| ErrorKind::from_code(&code)).unwrap_or(ErrorKind::File);
    Error::new(kind, property("message").unwrap_or_else(|| path.to_owned()))
}
