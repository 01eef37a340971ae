/** The worker: owns the engine and the model, so that the page stays free. Only here are the wasm packages imported. */
import type { Engine, Generation } from './engine/cpu/flagdit.js';
import { aborted, NetworkError, plain, type ErrorCode } from './errors.js';
import type { BenchProgress, BenchReport, Command, DeviceKind, EngineEvent, Loaded, MemoryPlan, Reply } from './protocol.js';
import { source } from './weights.js';

type Load = Extract<Command, { type: 'load' }>;
type Bench = Extract<Command, { type: 'bench' }>;
type PlanOrder = Extract<Command, { type: 'plan' }>;
type Generate = Extract<Command, { type: 'generate' }>;

/** The same sources twice, without and with WebGPU: nobody downloads what his device cannot use. */
const ENGINES = {
  cpu: () => import('./engine/cpu/flagdit.js'),
  gpu: () => import('./engine/gpu/flagdit.js'),
};
type EngineModule = Awaited<ReturnType<(typeof ENGINES)[DeviceKind]>>;

/** Running commands by number. */
const running = new Map<number, AbortController>();
let engine: Engine | undefined;
let memory: WebAssembly.Memory | undefined;
let panic: string | undefined;

const reply = (message: Reply, transfer: Transferable[] = []) => self.postMessage(message, { transfer });

self.addEventListener('message', ({ data }: MessageEvent<Command>) => {
  if (data.type === 'cancel') {
    running.get(data.target)?.abort();
    return;
  }
  const abort = new AbortController();
  running.set(data.id, abort);
  perform(data, abort.signal)
    .then(
      (value) => reply({ id: data.id, type: 'done', value: value ?? undefined }),
      (error: unknown) => (panic ? die() : reply({ id: data.id, type: 'failed', error: plain(error) })),
    )
    .finally(() => running.delete(data.id));
});

function perform(order: Exclude<Command, { type: 'cancel' }>, signal: AbortSignal): Promise<Loaded | MemoryPlan | BenchReport | void> {
  switch (order.type) {
    case 'load':
      return load(order, signal);
    case 'plan':
      return plan(order);
    case 'bench':
      return bench(order, signal);
    case 'generate':
      return generate(order, signal);
  }
}

// A panic ends the engine in the middle of a promise that nobody will settle. Without a panic's message it was memory that
// ran out: Rust then stops without a word.
self.addEventListener('error', (event) => {
  event.preventDefault(); // The page hears of it from here, with its code.
  panic ??= /unreachable/i.test(event.message) ? 'memory allocation failed' : event.message;
  die();
});

function die(): void {
  const signs: [RegExp, ErrorCode][] = [
    [/memory|allocat|capacity overflow/i, 'out-of-memory'],
    [/lost|poison/i, 'device-lost'],
  ];
  const code = signs.find(([sign]) => sign.test(panic ?? ''))?.[1] ?? 'unsupported';
  const smaller = code === 'out-of-memory' ? 'ask for a smaller picture, fewer of them or a shorter sound, and ' : '';
  reply({ type: 'fatal', error: { code, message: `the engine ended: ${panic?.split('\n')[0]}; ${smaller}load the model again` } });
}

async function load(order: Load, signal: AbortSignal): Promise<Loaded> {
  const { Engine } = await start(order.device, order.wasmUrl);
  engine = await read(order, signal, (bytes, report) => Engine.open(bytes, order.device, order.memory, report));
  return { manifest: engine.manifest, identity: engine.identity, device: engine.device };
}

/** Keeps nothing: the model is measured, and goes. */
async function bench(order: Bench, signal: AbortSignal): Promise<BenchReport> {
  const { bench } = await start(order.device, order.wasmUrl);
  return read(order, signal, (bytes, report) => bench(bytes, order.device, order.options, report) as Promise<BenchReport>);
}

/** What `use` makes of a model's bytes. What is damaged must not be found in the cache again. */
async function read<T>(
  { id, place }: Load | Bench,
  signal: AbortSignal,
  use: (bytes: ReturnType<typeof source>, report: (progress: BenchProgress) => void) => Promise<T>,
): Promise<T> {
  const report = (progress: BenchProgress) => reply({ id, type: 'progress', progress });
  const bytes = source(place, report, signal);
  let made: T;
  try {
    made = await use(bytes, report);
  } catch (error) {
    if (plain(error).code === 'integrity') await bytes.forget();
    throw signal.aborted ? aborted() : error;
  }
  if (signal.aborted) throw aborted();
  return made;
}

/** Needs no GPU, whatever it is for: the smaller engine does it. */
async function plan({ manifest, request, device, wasmUrl }: PlanOrder): Promise<MemoryPlan> {
  const { planMemory } = await start('cpu', wasmUrl);
  return planMemory(manifest, request, device) as MemoryPlan;
}

/** The engine's module, running. */
async function start(device: DeviceKind, wasmUrl?: string): Promise<EngineModule> {
  try {
    const module = await ENGINES[device]();
    ({ memory } = await module.default(wasmUrl ? { module_or_path: wasmUrl } : undefined));
    module.onPanic((message: string) => (panic = message));
    return module;
  } catch (error) {
    throw new NetworkError(
      'network',
      `the ${device} engine: expected its files, found ${(error as Error).message}; is the address right, and the network up?`,
    );
  }
}

async function generate({ id, request }: Generate, signal: AbortSignal): Promise<void> {
  const generation: Generation = engine!.generate(request);
  try {
    for (;;) {
      // Messages (a cancel) are heard between tasks only; every event is at most one solver step away.
      await task();
      if (signal.aborted) throw aborted();
      const event = (await generation.next()) as EngineEvent | undefined;
      if (!event) return;
      if (event.type === 'done') event.stats.heapBytes = memory!.buffer.byteLength;
      reply({ id, type: 'event', event }, buffers(event));
    }
  } finally {
    generation.free();
  }
}

/** What an event owns moves to the page instead of being copied. */
function buffers(event: EngineEvent): Transferable[] {
  if (event.type !== 'preview' && event.type !== 'done') return [];
  const pictures = event.frames.map(({ rgba }) => rgba.buffer);
  if (event.type === 'preview') return pictures;
  const files = Object.values(event.files).map(({ buffer }) => buffer);
  return [...pictures, ...files, ...(event.samples ? [event.samples.buffer] : [])];
}

/** Resolves in a task of its own, unlike a promise, and without the delay of a timer. */
function task(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
