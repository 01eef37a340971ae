/**
 * Text to images in the browser, on the visitor's own device.
 *
 * ```ts
 * const model = await load('/weights/toybox/');
 * const image = await model.image({ prompt: 'a large red star on a blue background', seed: 7 });
 * ```
 *
 * The work is done in a worker. Every failure is a {@link FlagditError} with a stable `code`. Importing does nothing, so
 * that a server can do it too.
 */
import { Connection } from './connection.js';
import { ENGINE_BYTES } from './engine/sizes.js';
import { aborted, DeviceError, RequestError } from './errors.js';
import { adapterName, gpuObstacle, probe, type Capabilities } from './probe.js';
import type {
  DeviceChoice, DeviceKind, DeviceState, EngineEvent, EngineRequest, LoadProgress, Picture, Settings, Stats, Timings,
} from './protocol.js';
import { head, type ManifestHead } from './weights.js';

export { AbortError, DeviceError, FlagditError, ModelError, NetworkError, RequestError, type ErrorCode } from './errors.js';
export { probe, type Capabilities } from './probe.js';
export type { DeviceChoice, DeviceKind, DeviceState, LoadProgress, Settings, Stats, Timings } from './protocol.js';
export type { ManifestHead } from './weights.js';

/** The largest seed: 2⁵³ − 1. */
export const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** How to load. */
export interface LoadOptions {
  /** Where to compute; `auto` if absent. */
  device?: DeviceChoice;
  /** Told how far it is. */
  onProgress?: (progress: LoadProgress) => void;
  /** Stops it. */
  signal?: AbortSignal;
  /** Where the engines are, if not beside the package's scripts; a bare address is the CPU's. */
  wasmUrl?: string | URL | Partial<Record<DeviceKind, string | URL>>;
  /** Where `worker.js` is, if not beside `index.js`. */
  workerUrl?: string | URL;
}

/** What to make, and how to stop it. */
export interface Request extends Partial<Pick<EngineRequest, 'kind' | 'seed'>>, Omit<EngineRequest, 'kind' | 'seed'> {
  /** Stops it within one step. */
  signal?: AbortSignal;
}

/** What was made. */
export interface Output {
  kind: 'image';
  /** One picture. */
  frames: ImageData[];
  /** Every choice that it came from. */
  settings: Settings;
  /** A file; PNG files carry the request as the command line program's do. */
  toBlob(type?: 'image/png' | 'image/jpeg' | 'image/webp'): Promise<Blob>;
}

/** What happens while generating; the last one is `done`. */
export type GenerateEvent =
  | { type: 'stage'; stage: 'encode' | 'sample' | 'decode' }
  | { type: 'warning'; message: string }
  | { type: 'step'; step: number; steps: number }
  | { type: 'preview'; image: ImageBitmap }
  | { type: 'done'; output: Output; seed: number; timings: Timings; stats: Stats };

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
}

/**
 * Looks at the model at `url` without loading it.
 *
 * @throws FlagditError `network`, `bad-model`, `bad-request`
 */
export async function plan(url: string | URL): Promise<Plan> {
  return { ...(await head(address('url', url))), engineBytes: { ...ENGINE_BYTES } };
}

/**
 * Loads a model: the URL of the folder that holds `manifest.json`, or the files of such a folder that the user picked.
 *
 * With `auto`, a GPU that cannot be used after all is passed over for the CPU; the device's `warning` says why.
 *
 * @throws FlagditError `network`, `quota`, `integrity`, `bad-model`, `unsupported`, `webgpu-unavailable`, `aborted`
 */
export async function load(from: string | URL | File[], options: LoadOptions = {}): Promise<Model> {
  const { device = 'auto', signal } = options;
  if (signal?.aborted) throw aborted();
  const can = await probe();
  if (!can.wasmSimd) {
    throw new DeviceError('unsupported', 'this browser: expected WebAssembly with SIMD, found none; a newer one has it');
  }
  const kind = chooseDevice(device, can);
  try {
    return await open(from, kind, can, options);
  } catch (error) {
    if (device !== 'auto' || kind !== 'gpu' || !(error instanceof DeviceError)) throw error;
    const model = await open(from, 'cpu', can, options);
    model.device.warning = `${error.message}; using the CPU instead`;
    return model;
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

/** Loads into a worker of its own, so that an engine that ended leaves nothing behind. */
async function open(from: string | URL | File[], device: DeviceKind, can: Capabilities, options: LoadOptions): Promise<Model> {
  const { onProgress, signal, wasmUrl, workerUrl } = options;
  const place = Array.isArray(from) ? { files: picked(from) } : { url: address('url', from) };
  const urls = typeof wasmUrl === 'string' || wasmUrl instanceof URL ? { cpu: wasmUrl } : { ...wasmUrl };
  const url = urls[device];
  const order = { type: 'load' as const, place, device, wasmUrl: url && address('wasmUrl', url) };
  const connection = new Connection(spawn(workerUrl));
  // The worker may be compiling, or reading its cache, and would listen later.
  const stop = () => connection.close(aborted());
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const loaded = (await connection.send(order, { signal, onProgress }))!;
    const state = { ...loaded.device };
    if (device === 'gpu' && can.adapter) {
      // The engine knows what the browser tells it, which is often nothing.
      state.name = adapterName(can.adapter);
      state.warning = state.warning?.replace(loaded.device.name, state.name) ?? null;
    }
    return new Model(connection, loaded.manifest as ManifestHead, loaded.identity, state);
  } catch (error) {
    connection.close(aborted());
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
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

/** A loaded model. */
export class Model {
  /** @internal */
  constructor(
    private readonly connection: Connection,
    /** What the model says of itself. */
    readonly manifest: ManifestHead,
    /** SHA-256 of the manifest, which pins every byte of the model. */
    readonly identity: string,
    /** Where it runs. */
    readonly device: DeviceState,
  ) {}

  /**
   * Generates, event after event. Leaving the loop, or the signal, stops the work within one step.
   *
   * @throws FlagditError `bad-request`, `aborted`, `out-of-memory`, `device-lost`
   */
  async *generate(request: Request): AsyncGenerator<GenerateEvent, void, void> {
    const { signal, ...order } = complete(request);
    const stop = new AbortController();
    const events: EngineEvent[] = [];
    let wake = () => {};
    let isOver = false;
    const done = this.connection
      .send(
        { type: 'generate', request: order },
        {
          signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
          onEvent: (event) => {
            events.push(event);
            wake();
          },
        },
      )
      .finally(() => {
        isOver = true;
        wake();
      });
    done.catch(() => {}); // Awaited below; until then it is not unhandled.
    try {
      for (;;) {
        const event = events.shift();
        if (event) yield await dress(event);
        else if (isOver) break;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
      await done;
    } finally {
      stop.abort();
    }
  }

  /** Generates a picture. */
  async image(request: Request): Promise<ImageData> {
    for await (const event of this.generate(request)) {
      if (event.type === 'done') return event.output.frames[0]!;
    }
    throw new DeviceError('device-lost', 'the engine: expected a picture, found none; load the model again');
  }

  /** Ends the worker and frees all memory. Whatever runs is rejected with `aborted`. */
  async dispose(): Promise<void> {
    this.connection.close(aborted());
  }
}

const NAMES: readonly string[] = [
  'kind', 'prompt', 'negativePrompt', 'width', 'height', 'steps', 'guidance', 'solver', 'timeShift', 'seed', 'previewEvery',
  'signal',
] satisfies (keyof Request)[];

/** The request with a seed; refuses what would not survive the way to the engine. */
function complete(request: Request): EngineRequest & { signal?: AbortSignal } {
  const stranger = Object.keys(request).find((name) => !NAMES.includes(name));
  if (stranger) {
    throw new RequestError('bad-request', `request: expected fields among ${NAMES.join(', ')}, found ${stranger}`);
  }
  const { kind = 'image', seed = randomSeed(), ...rest } = request;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RequestError('bad-request', `seed: expected 0 to ${MAX_SEED}, found ${seed}`);
  }
  if (typeof rest.prompt !== 'string') {
    throw new RequestError('bad-request', `prompt: expected a text, found ${typeof rest.prompt}`);
  }
  // Absent and undefined are the same here; to the engine they are not.
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return { ...(given as typeof rest), kind, seed };
}

/** A seed of 53 random bits. */
function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2)) as unknown as [number, number];
  return (high & 0x1fffff) * 2 ** 32 + low;
}

/** An engine's event with the browser's own types. */
async function dress(event: EngineEvent): Promise<GenerateEvent> {
  if (event.type === 'preview') return { type: 'preview', image: await createImageBitmap(imageData(event.image)) };
  if (event.type !== 'done') return event;
  const { settings, timings, stats } = event;
  const frame = imageData(event.image);
  const png = new Blob([event.png], { type: 'image/png' });
  const toBlob: Output['toBlob'] = async (type = 'image/png') => (type === 'image/png' ? png : convert(frame, type));
  return { type: 'done', output: { kind: 'image', frames: [frame], settings, toBlob }, seed: settings.seed, timings, stats };
}

function imageData({ width, height, rgba }: Picture): ImageData {
  return new ImageData(new Uint8ClampedArray(rgba.buffer), width, height);
}

async function convert(frame: ImageData, type: 'image/jpeg' | 'image/webp'): Promise<Blob> {
  const canvas = new OffscreenCanvas(frame.width, frame.height);
  canvas.getContext('2d')!.putImageData(frame, 0, 0);
  return canvas.convertToBlob({ type, quality: 0.95 });
}
