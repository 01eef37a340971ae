//! The browser's face: the JavaScript classes that `web/src/worker.ts` drives. Thin: values in and out, nothing else.
//!
//! What crosses the boundary is JSON-like (`serde-wasm-bindgen`), pictures are bytes. Errors are JavaScript `Error`s with
//! the stable `code` of [`ErrorKind`]. A panic cannot be caught here: the hook hands its message to the page, and the
//! worker is at its end.

use std::{future::poll_fn, pin::Pin, rc::Rc, sync::Arc};

use futures_core::Stream;
use js_sys::{Function, Reflect, Uint8Array};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wasm_bindgen::prelude::*;

use crate::{
    bench,
    device::{Capacity, Device, Kind},
    error::{Error, ErrorKind, Result},
    kernels,
    pipeline::Pipeline,
    plan::{Blueprint, Plan},
    progress::{Event, LoadProgress},
    request::Request,
    weights::{BlockingSource, ByteSource, LocalFuture},
};

mod events;

use events::message;

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

    fn blocking(&self) -> Option<Arc<dyn BlockingSource>> {
        None
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
