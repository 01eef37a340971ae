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
import { aborted, DeviceError, RequestError } from './errors.js';
import { probe } from './probe.js';
import type { DeviceChoice, DeviceState, EngineEvent, EngineRequest, LoadProgress, Picture, Settings, Timings } from './protocol.js';
import { head, type ManifestHead } from './weights.js';

export { AbortError, DeviceError, FlagditError, ModelError, NetworkError, RequestError, type ErrorCode } from './errors.js';
export { probe, type Capabilities } from './probe.js';
export type { DeviceChoice, DeviceState, LoadProgress, Settings, Timings } from './protocol.js';
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
  /** Where `flagdit_bg.wasm` is, if not beside the package's scripts. */
  wasmUrl?: string | URL;
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
  | { type: 'done'; output: Output; seed: number; timings: Timings };

/** What a model needs, before it is downloaded. */
export interface Plan {
  /** The beginning of the manifest: name, sizes, defaults. */
  manifest: ManifestHead;
  /** Bytes of the model's files. */
  bytes: number;
  /** Bytes of them that this browser has already. */
  cachedBytes: number;
}

/**
 * Looks at the model at `url` without loading it.
 *
 * @throws FlagditError `network`, `bad-model`
 */
export async function plan(url: string | URL): Promise<Plan> {
  return head(String(url));
}

/**
 * Loads a model: the URL of the folder that holds `manifest.json`, or the files of such a folder that the user picked.
 *
 * @throws FlagditError `network`, `quota`, `integrity`, `bad-model`, `unsupported`, `webgpu-unavailable`, `aborted`
 */
export async function load(from: string | URL | File[], options: LoadOptions = {}): Promise<Model> {
  const { device = 'auto', onProgress, signal, wasmUrl } = options;
  if (signal?.aborted) throw aborted();
  const can = await probe();
  if (!can.wasmSimd) {
    throw new DeviceError('unsupported', 'this browser: expected WebAssembly with SIMD, found none; a newer one has it');
  }
  const connection = new Connection(spawn(options.workerUrl));
  // Relative to the page, which the worker does not know.
  const absolute = (url: string | URL) => new URL(url, globalThis.location?.href).href;
  const place = Array.isArray(from) ? { files: from } : { url: absolute(from) };
  try {
    const order = { type: 'load' as const, place, device, wasmUrl: wasmUrl && absolute(wasmUrl) };
    const loaded = (await connection.send(order, { signal, onProgress }))!;
    return new Model(connection, loaded.manifest as ManifestHead, loaded.identity, loaded.device);
  } catch (error) {
    connection.close(aborted());
    throw error;
  }
}

function spawn(url?: string | URL): Worker {
  if (url) return new Worker(url, { type: 'module', name: 'flagdit' });
  // Bundlers look for exactly this expression.
  return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'flagdit' });
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
  const { settings, timings } = event;
  const frame = imageData(event.image);
  const png = new Blob([event.png], { type: 'image/png' });
  const toBlob: Output['toBlob'] = async (type = 'image/png') => (type === 'image/png' ? png : convert(frame, type));
  return { type: 'done', output: { kind: 'image', frames: [frame], settings, toBlob }, seed: settings.seed, timings };
}

function imageData({ width, height, rgba }: Picture): ImageData {
  return new ImageData(new Uint8ClampedArray(rgba.buffer), width, height);
}

async function convert(frame: ImageData, type: 'image/jpeg' | 'image/webp'): Promise<Blob> {
  const canvas = new OffscreenCanvas(frame.width, frame.height);
  canvas.getContext('2d')!.putImageData(frame, 0, 0);
  return canvas.convertToBlob({ type, quality: 0.95 });
}
