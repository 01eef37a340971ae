/** What page and worker say to each other. Every command is answered by `done` or `failed` with its number. */
import type { PlainError } from './errors.js';

/** The two engines. */
export type DeviceKind = 'gpu' | 'cpu';

/** Where to compute. `auto`: a real GPU if there is one that answers and computes right, else the CPU. */
export type DeviceChoice = 'auto' | DeviceKind;

/** The device at work. */
export interface DeviceState {
  kind: 'discrete' | 'integrated' | 'virtual' | 'other' | 'software' | 'cpu';
  name: string;
  warning: string | null;
}

/** How far loading is. */
export interface LoadProgress {
  /**
   * `download`: files come from the network or the cache. `verify`, `upload`: pieces are compared with their hashes and
   * moved to the device, one after the other. `compile`: the GPU's programs.
   */
  stage: 'download' | 'verify' | 'upload' | 'compile';
  /** Bytes; parts of a picture while compiling. */
  loaded: number;
  total: number;
  /** The file at hand, while downloading. */
  file?: string;
}

/** What to make. What is absent comes from the model's manifest. */
export interface EngineRequest {
  /** Only images so far. */
  kind: 'image';
  /** What it shows. */
  prompt: string;
  /** What it should not show. */
  negativePrompt?: string;
  /** Pixels across, a multiple of the manifest's `sizes.image.multiple`. */
  width?: number;
  /** Pixels down, likewise. */
  height?: number;
  /** Solver intervals, 1 … 1000. */
  steps?: number;
  /** Classifier-free guidance, 0 … 100; 1: none. */
  guidance?: number;
  /** `euler`, `midpoint`, `heun`, `rk4` or `dopri5`. */
  solver?: string;
  /** Time shift, 0.001 … 1000; 1: none. */
  timeShift?: number;
  /** 0 … 2⁵³ − 1; random if a caller names none. The same seed gives the same picture, here and natively. */
  seed: number;
  /** A preview after every so many steps; 0: none. */
  previewEvery?: number;
}

/** Every choice that a picture came from; what its metadata states. */
export interface Settings extends Required<Omit<EngineRequest, 'previewEvery'>> {
  model: string;
  modelHash: string;
}

/** Milliseconds. */
export interface Timings {
  encodeMs: number;
  sampleMs: number;
  decodeMs: number;
}

/** What it cost. */
export interface Stats {
  /** Bytes of the engine's memory, outside the GPU: the most there ever were. */
  heapBytes: number;
  /** How often this package's own shaders ran; 0 on the CPU. */
  shaderLaunches: number;
}

/** RGBA, row after row. */
export interface Picture {
  width: number;
  height: number;
  rgba: Uint8Array<ArrayBuffer>;
}

/** An event of the engine. */
export type EngineEvent =
  | { type: 'stage'; stage: 'encode' | 'sample' | 'decode' }
  | { type: 'warning'; message: string }
  | { type: 'step'; step: number; steps: number }
  | { type: 'preview'; image: Picture }
  | { type: 'done'; image: Picture; png: Uint8Array<ArrayBuffer>; settings: Settings; timings: Timings; stats: Stats };

/** Where the model is. */
export type ModelPlace = { url: string } | { files: { path: string; file: File }[] };

export type Command = { id: number } & (
  | { type: 'load'; place: ModelPlace; device: DeviceKind; wasmUrl?: string }
  | { type: 'generate'; request: EngineRequest }
  | { type: 'cancel'; target: number }
);

/** What `load` answers. */
export interface Loaded {
  manifest: unknown;
  identity: string;
  device: DeviceState;
}

export type Reply =
  | { id: number; type: 'progress'; progress: LoadProgress }
  | { id: number; type: 'event'; event: EngineEvent }
  | { id: number; type: 'done'; value?: Loaded }
  | { id: number; type: 'failed'; error: PlainError }
  | { type: 'fatal'; error: PlainError };
