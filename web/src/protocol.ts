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

/** Kinds of output. `audio` is sound, `views` are pictures around an object. */
export type Kind = 'image' | 'video' | 'views' | 'audio';

/** A change to another prompt in the course of a video. */
export interface Transition {
  /** The last frame that the prompt before describes alone. */
  from: number;
  /** The first frame that the new prompt describes alone; in between both do, the one less and less. */
  to: number;
  /** What is shown from then on. */
  prompt: string;
}

/** What to make. What is absent comes from the model's manifest; what belongs to another kind is refused. */
export interface EngineRequest {
  /** One of those that the manifest's `modalities` list. */
  kind: Kind;
  /** What it shows. Either this or a class is there. */
  prompt?: string;
  /** Which class it shows, from 0 on, where the manifest's `conditioning` is `labels`. */
  class?: number;
  /** What it should not show. */
  negativePrompt?: string;
  /** Pixels across, a multiple of the manifest's `sizes[kind].multiple`. Not for sound. */
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
  /** Frames of a video. */
  frames?: number;
  /** Frames of a video that are shown in a second, above 0, at most 100. */
  fps?: number;
  /** Whether the end of a video leads back to its beginning. */
  loop?: boolean;
  /** What a video shows later, in the order of time. */
  transitions?: Transition[];
  /** Views around an object. */
  views?: number;
  /** Seconds of sound. */
  seconds?: number;
}

/** The choices of a request that only some kinds have. */
type OfSomeKinds = 'frames' | 'fps' | 'loop' | 'transitions' | 'views' | 'seconds';

/**
 * Every choice that an output came from; what its metadata states. Width and height of sound are 0; the prompt of a class is
 * empty.
 */
export interface Settings
  extends Required<Omit<EngineRequest, 'previewEvery' | 'class' | OfSomeKinds>>,
    Pick<EngineRequest, 'class' | OfSomeKinds> {
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

/** The files that outputs can be had as. A video's `image/png` is a sheet of its frames, a sound's its spectrogram. */
export type MediaType = 'image/png' | 'image/gif' | 'image/apng' | 'model/gltf-binary' | 'audio/wav';

/** What the engine made. */
export interface EngineDone {
  type: 'done';
  settings: Settings;
  timings: Timings;
  stats: Stats;
  /** Files that could not be made of it, and why. */
  warnings: string[];
  /** Of sound its spectrogram. */
  frames: Picture[];
  samples?: Float32Array<ArrayBuffer>;
  sampleRate?: number;
  files: Partial<Record<MediaType, Uint8Array<ArrayBuffer>>>;
}

/** An event of the engine. */
export type EngineEvent =
  | { type: 'stage'; stage: 'encode' | 'sample' | 'decode' }
  /** Bytes of the stage's network that are on the device, where it was not there: some come one after the other. */
  | { type: 'load'; loaded: number; total: number }
  | { type: 'warning'; message: string }
  | { type: 'step'; step: number; steps: number }
  /** Parts of the output that are decoded: frames, passes over the tiles of a large picture, improvements of a sound. */
  | { type: 'decode'; done: number; total: number }
  | { type: 'preview'; frames: Picture[] }
  | EngineDone;

/** What a stage needs, in bytes. */
export interface StagePlan {
  stage: 'encode' | 'sample' | 'decode';
  /** Of its network, as it lies on the device. */
  weights: number;
  /** That it works with. */
  working: number;
}

/** What a request would take of a device. */
export interface MemoryPlan {
  /** Bytes of the model's files. */
  download: number;
  /** Tokens of the denoiser's sequence. */
  tokens: number;
  /** Rows of the denoiser's batch that are evaluated at once; guided evaluations have two. */
  batch: number;
  stages: StagePlan[];
  /** Whether all networks stay on the device; otherwise each is freed when the next one needs its place. */
  staysLoaded: boolean;
  /** The most bytes at a time. */
  peak: number;
  /** The largest tensor, which must be no larger than what the device binds. */
  largest: { name: string; bytes: number };
  /** What the device can hold; browsers do not tell how much memory a GPU has, so it is assumed unless it was stated. */
  capacity: { isGpu: boolean; memory: number; isKnown: boolean; maxBuffer: number | null; maxBinding: number | null };
  /** What the device cannot do, and what to ask for instead; empty if it can do all. */
  obstacles: string[];
}

/** A device to plan for. */
export interface PlannedDevice {
  isGpu: boolean;
  memory?: number;
  maxBuffer?: number;
  maxBinding?: number;
}

/** A call of the denoiser to measure. What is absent comes from the model's manifest, or is what is usual. */
export interface DenoiserCall {
  /** Pixels across of the picture that it is about. */
  width?: number;
  /** Pixels down. */
  height?: number;
  /** Rows of its batch; 2, with a prompt and without, if absent. */
  batch?: number;
  /** Tokens of its caption; 16 if absent. */
  captionTokens?: number;
}

/** What the engine measures. */
export interface EngineBench {
  work: { generation: EngineRequest } | { denoiser: DenoiserCall };
  kernels?: boolean;
  stock?: boolean;
}

/** How far a measurement is: loading, then steps that are counted. */
export type BenchProgress = LoadProgress | { stage: 'measure'; loaded: number; total: number };

/** What was measured, where, and how long it took: what `flagdit bench --json` prints. Times are in milliseconds. */
export interface BenchReport {
  type: 'bench';
  model: string;
  modelHash: string;
  /** `isSoftware`: a GPU interface that the CPU imitates; its times say nothing of a GPU's. */
  adapter: { name: string; backend: string; kind: DeviceState['kind']; isSoftware: boolean };
  work: 'generation' | 'denoiser';
  /** Whether Burn's own operations computed instead of our kernels. */
  stock: boolean;
  kind: Kind;
  width: number;
  height: number;
  frames?: number;
  views?: number;
  seconds?: number;
  steps?: number;
  solver?: string;
  guidance?: number;
  /** Rows of the denoiser's batch. */
  batch: number;
  /** Tokens of each row, and of its caption. */
  tokens: number;
  captionTokens: number;
  loadMs: number;
  /** The first step, which is not counted. */
  firstStepMs: number;
  /** The median of the steps, and the shortest. */
  stepMs: number;
  leastStepMs: number;
  /** Steps that were counted, five at least. */
  counted: number;
  /** From the prompt to the output, the median. */
  generationMs?: number;
  /** 10⁹ floating point operations a second in the median step. */
  gflops: number;
  /** The most memory of the engine, outside the GPU. */
  peakMemoryBytes: number | null;
  /** Memory of the GPU that was taken. */
  deviceMemoryBytes: number | null;
  /** Where the GPU's time went in one step, the most first. */
  kernels?: { name: string; launches: number; ms: number; share: number }[];
}

/** Where the model is. */
export type ModelPlace = { url: string } | { files: { path: string; file: File }[] };

export type Command = { id: number } & (
  | { type: 'load'; place: ModelPlace; device: DeviceKind; memory?: number; wasmUrl?: string }
  | { type: 'bench'; place: ModelPlace; device: DeviceKind; options: EngineBench; wasmUrl?: string }
  | { type: 'plan'; manifest: string; request: EngineRequest; device: PlannedDevice; wasmUrl?: string }
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
  | { id: number; type: 'progress'; progress: BenchProgress }
  | { id: number; type: 'event'; event: EngineEvent }
  | { id: number; type: 'done'; value?: Loaded | MemoryPlan | BenchReport }
  | { id: number; type: 'failed'; error: PlainError }
  | { type: 'fatal'; error: PlainError };
