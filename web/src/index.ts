/**
 * Text to images, videos, 3D views and sound in the browser, on the visitor's own device.
 *
 * ```ts
 * const model = await load('/weights/toybox/');
 * const image = await model.image({ prompt: 'a large red star on a blue background', seed: 7 });
 * const video = await model.video({ prompt: 'a red star moves right', frames: 8 });
 * ```
 *
 * The work is done in a worker. Every failure is a {@link FlagditError} with a stable `code`. Importing does nothing, so
 * that a server can do it too.
 */
import { Connection, type Answer, type Order } from './connection.js';
import { ENGINE_BYTES } from './engine/sizes.js';
import { aborted, DeviceError, RequestError } from './errors.js';
import { adapterName, gpuObstacle, probe, type Capabilities } from './probe.js';
import { Model } from './model.js';
import type {
  BenchProgress, BenchReport, DenoiserCall, DeviceChoice, DeviceKind, EngineBench, Loaded, LoadProgress, MemoryPlan, ModelPlace,
} from './protocol.js';
import { checked, complete, type Request } from './request.js';
import { head, type ManifestHead } from './weights.js';

export { AbortError, DeviceError, FlagditError, ModelError, NetworkError, RequestError, type ErrorCode } from './errors.js';
export { Model, type Sound } from './model.js';
export type { AudioOutput, GenerateEvent, ImageOutput, Output, VideoOutput, ViewsOutput } from './output.js';
export { probe, type Capabilities } from './probe.js';
export type {
  BenchProgress, BenchReport, DenoiserCall, DeviceChoice, DeviceKind, DeviceState, Kind, LoadProgress, MediaType, MemoryPlan, Settings, StagePlan, Stats, Timings, Transition,
} from './protocol.js';
export { MAX_SEED, type AudioRequest, type ImageRequest, type Request, type VideoRequest, type ViewsRequest } from './request.js';
export type { ManifestHead, Sizes } from './weights.js';

/** How to load. */
export interface LoadOptions {
  /** Where to compute; `auto` if absent. */
  device?: DeviceChoice;
  /**
   * Bytes that the device may take, if that is known better: browsers do not tell. Networks that do not fit there together
   * are loaded when they are needed, each in the place of the last.
   */
  memory?: number;
  /** Told how far it is. */
  onProgress?: (progress: LoadProgress) => void;
  /** Stops it. */
  signal?: AbortSignal;
  /** Where the engines are, if not beside the package's scripts; a bare address is the CPU's. */
  wasmUrl?: string | URL | Partial<Record<DeviceKind, string | URL>>;
  /** Where `worker.js` is, if not beside `index.js`. */
  workerUrl?: string | URL;
}

/** What to measure, and how to load it. */
export interface BenchOptions extends Omit<LoadOptions, 'memory' | 'onProgress'> {
  /** What is made; a picture of the model's native size if absent. Its steps are measured. */
  request?: Partial<Request>;
  /** Calls of the denoiser are measured instead, each a step. The model need hold nothing else. */
  denoiser?: DenoiserCall;
  /** Whether each of the GPU's kernels is timed in one step more. */
  kernels?: boolean;
  /** Whether Burn's own operations compute instead of our shaders, where the engine has them: one that ships has not. */
  stock?: boolean;
  /** Told how far it is. */
  onProgress?: (progress: BenchProgress) => void;
}

/** What a model needs, before it is downloaded. */
export interface Plan {
  /** The beginning of the manifest: name, sizes, defaults. */
  manifest: ManifestHead;
  /** Bytes of the model's files. */
  bytes: number;
  /** Bytes of them that this browser has already. */
  cachedBytes: number;
  /** Bytes of the two engines' files, of which one is loaded; servers that compress send about a fifth. */
  engineBytes: Record<DeviceKind, number>;
  /** What the request would take of the device, if there was one. */
  memory?: MemoryPlan;
}

/** What to plan for. */
export interface PlanOptions extends Pick<LoadOptions, 'device' | 'memory' | 'wasmUrl' | 'workerUrl'> {}

/**
 * Looks at the model at `url` without loading it. With a request also at what that would take of the device, stage by stage,
 * and what the device cannot do; this loads the CPU's engine, and nothing of the model but its manifest.
 *
 * @throws FlagditError `network`, `bad-model`, `bad-request`
 */
export async function plan(url: string | URL, request?: Partial<Request>, options: PlanOptions = {}): Promise<Plan> {
  const { text, ...found } = await head(address('url', url));
  const plan = { ...found, engineBytes: { ...ENGINE_BYTES } };
  if (!request) return plan;
  // What is planned for has no need of words.
  const subject = found.manifest.conditioning === 'labels' ? { class: 0 } : { prompt: 'a' };
  const isOpen = request.prompt === undefined && request.class === undefined;
  const asked = isOpen ? { ...request, ...subject } : request;
  return { ...plan, memory: await planMemory(await text.text(), asked, options) };
}

async function planMemory(manifest: string, request: Partial<Request>, options: PlanOptions): Promise<MemoryPlan> {
  const { device = 'auto', memory, wasmUrl, workerUrl } = options;
  const can = await probe();
  const isGpu = chooseDevice(device, can) === 'gpu';
  const limits = isGpu && { maxBuffer: can.limits?.maxBufferSize, maxBinding: can.limits?.maxStorageBufferBindingSize };
  // Nor of a way to stop it.
  const { signal: _, ...asked } = complete({ seed: 0, ...request });
  const connection = new Connection(spawn(workerUrl));
  try {
    const order = {
      type: 'plan' as const,
      manifest,
      request: asked,
      device: { isGpu, memory, ...limits },
      wasmUrl: engineUrl(wasmUrl, 'cpu'),
    };
    return (await connection.send<MemoryPlan>(order, {}))!;
  } finally {
    connection.close(aborted());
  }
}

/**
 * Loads a model: the URL of the folder that holds `manifest.json`, or the files of such a folder that the user picked.
 *
 * With `auto`, a GPU that cannot be used after all is passed over for the CPU; the device's `warning` says why.
 *
 * @throws FlagditError `network`, `quota`, `integrity`, `bad-model`, `bad-request`, `out-of-memory`, `unsupported`,
 * `webgpu-unavailable`, `aborted`
 */
export async function load(from: string | URL | File[], options: LoadOptions = {}): Promise<Model> {
  const { value, passedOver } = await onDevice(options, (kind, can) => open(from, kind, can, options));
  if (passedOver) value.device.warning = `${passedOver.message}; using the CPU instead`;
  return value;
}

/**
 * Measures how fast a model is here, with a worker of its own: a picture's steps, or calls of the denoiser, from numbers on
 * the CPU to numbers on the CPU. A few seconds on a processor, more on a software adapter.
 *
 * @throws FlagditError those of {@link load}, and `bad-request`, `out-of-memory`, `device-lost`
 */
export async function bench(from: string | URL | File[], options: BenchOptions = {}): Promise<BenchReport> {
  const { request, denoiser, kernels = false, stock = false, wasmUrl } = options;
  const { signal: _, ...asked } = complete({ prompt: 'a large red star above a blue square', seed: 0, ...request });
  const work: EngineBench['work'] = denoiser ? { denoiser: checked(denoiser) } : { generation: asked };
  const { value } = await onDevice(options, async (device, can) => {
    const measured: EngineBench = { work, kernels, stock };
    const order = { type: 'bench' as const, place: placed(from), device, options: measured, wasmUrl: engineUrl(wasmUrl, device) };
    const { connection, answer } = await ask<BenchReport>(order, options);
    connection.close(aborted());
    if (device === 'gpu' && can.adapter) answer.adapter.name = adapterName(can.adapter);
    return answer;
  });
  return value;
}

/** Works on the device that is chosen; with `auto` on the CPU after all, if a GPU fails. */
async function onDevice<T>(
  { device = 'auto', signal }: Pick<LoadOptions, 'device' | 'signal'>,
  work: (kind: DeviceKind, can: Capabilities) => Promise<T>,
): Promise<{ value: T; passedOver?: DeviceError }> {
  if (signal?.aborted) throw aborted();
  const can = await probe();
  if (!can.wasmSimd) {
    throw new DeviceError('unsupported', 'this browser: expected WebAssembly with SIMD, found none; a newer one has it');
  }
  const kind = chooseDevice(device, can);
  try {
    return { value: await work(kind, can) };
  } catch (error) {
    if (device !== 'auto' || kind !== 'gpu' || !(error instanceof DeviceError)) throw error;
    return { value: await work('cpu', can), passedOver: error };
  }
}

/**
 * The engine that {@link load} takes for a choice in a browser that can do this.
 *
 * @throws FlagditError `webgpu-unavailable` if a GPU is asked for and cannot be used, `bad-request`
 */
export function chooseDevice(device: DeviceChoice, can: Capabilities): DeviceKind {
  if (!['auto', 'gpu', 'cpu'].includes(device)) {
    throw new RequestError('bad-request', `device: expected auto, gpu or cpu, found ${String(device)}`);
  }
  if (device === 'cpu') return 'cpu';
  const obstacle = gpuObstacle(can);
  // A software adapter is many times slower than the CPU itself.
  if (device === 'auto') return obstacle || can.adapter?.isFallback ? 'cpu' : 'gpu';
  if (obstacle) throw new DeviceError('webgpu-unavailable', `device gpu: ${obstacle}; the device cpu is always there`);
  return 'gpu';
}

/** Where an engine is, if somebody said so. */
function engineUrl(wasmUrl: LoadOptions['wasmUrl'], device: DeviceKind): string | undefined {
  const urls = typeof wasmUrl === 'string' || wasmUrl instanceof URL ? { cpu: wasmUrl } : { ...wasmUrl };
  const url = urls[device];
  return url && address('wasmUrl', url);
}

/** Loads into a worker of its own, so that an engine that ended leaves nothing behind. */
async function open(from: string | URL | File[], device: DeviceKind, can: Capabilities, options: LoadOptions): Promise<Model> {
  const { memory, wasmUrl } = options;
  if (memory !== undefined && !(Number.isSafeInteger(memory) && memory > 0)) {
    throw new RequestError('bad-request', `memory: expected a whole number of bytes above 0, found ${String(memory)}`);
  }
  const order = { type: 'load' as const, place: placed(from), device, memory, wasmUrl: engineUrl(wasmUrl, device) };
  // `measure` belongs to measurements.
  const onProgress = options.onProgress as ((progress: BenchProgress) => void) | undefined;
  const { connection, answer } = await ask<Loaded>(order, { ...options, onProgress });
  const state = { ...answer.device };
  if (device === 'gpu' && can.adapter) {
    // The engine knows what the browser tells it, which is often nothing.
    state.name = adapterName(can.adapter);
    state.warning = state.warning?.replace(answer.device.name, state.name) ?? null;
  }
  return new Model(connection, answer.manifest as ManifestHead, answer.identity, state);
}

/** Sends one order to a worker of its own, which ends if the order fails or is stopped. */
async function ask<A extends Answer>(
  order: Order,
  { onProgress, signal, workerUrl }: Pick<BenchOptions, 'onProgress' | 'signal' | 'workerUrl'>,
): Promise<{ connection: Connection; answer: A }> {
  const connection = new Connection(spawn(workerUrl));
  // The worker may be compiling, or reading its cache, and would listen later.
  const stop = () => connection.close(aborted());
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return { connection, answer: (await connection.send<A>(order, { signal, onProgress }))! };
  } catch (error) {
    connection.close(aborted());
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function placed(from: string | URL | File[]): ModelPlace {
  return Array.isArray(from) ? { files: picked(from) } : { url: address('url', from) };
}

/** A whole address: the worker does not know what the page's are relative to. */
function address(name: string, url: string | URL): string {
  try {
    return new URL(url, globalThis.location?.href).href;
  } catch {
    throw new RequestError('bad-request', `${name}: expected an address, found ${String(url)}`);
  }
}

/** Files with their paths, which not every browser hands on to a worker. */
function picked(files: File[]): { path: string; file: File }[] {
  return files.map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

function spawn(url?: string | URL): Worker {
  try {
    if (url) return new Worker(url, { type: 'module', name: 'flagdit' });
    // Bundlers look for exactly this expression.
    return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'flagdit' });
  } catch (error) {
    const found = (error as Error).message;
    throw new DeviceError('unsupported', `the worker: expected a script that can be started, found ${found}; is workerUrl right?`);
  }
}
