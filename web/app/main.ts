/** The page: a form, one output, and what is going on. Loads the model when it is first asked for something, and keeps it. */
import {
  chooseDevice, DeviceError, FlagditError, load, plan, probe,
  type Capabilities, type DeviceChoice, type DeviceKind, type DeviceState, type GenerateEvent, type LoadProgress, type Model, type Plan,
} from 'flagdit';

import { listenToSpace } from './downloads.js';
import { elements } from './elements.js';
import { form } from './form.js';
import { stage } from './stage.js';
import { tell } from './tell.js';

const query = new URLSearchParams(location.search);
/** Another model, or a device, can be named in the address: `?model=URL&device=cpu`. */
const MODEL = query.get('model') ?? './weights/toybox/';
const PREVIEW_EVERY = 2;

let model: Promise<Model> | undefined;
let running: AbortController | undefined;

async function generate(): Promise<void> {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  stage.busy(true);
  const start = performance.now();
  try {
    const request = { ...form.request(), previewEvery: PREVIEW_EVERY, signal };
    const engine = await loaded(signal);
    for await (const event of engine.generate(request)) {
      await follow(event, start);
    }
  } catch (error) {
    if (error instanceof FlagditError && error.code === 'aborted') tell.status('Stopped.');
    else tell.error(sentence(error));
    if (error instanceof DeviceError) await forget();
  } finally {
    running = undefined;
    stage.busy(false);
  }
}

/** The model, loaded once. A load that failed or was stopped is tried again the next time. */
async function loaded(signal: AbortSignal): Promise<Model> {
  if (!model) tell.status('Loading the engine …');
  model ??= load(MODEL, { device: device(), signal, onProgress: loading });
  try {
    const engine = await model;
    tell.device(atWork(engine.device));
    return engine;
  } catch (error) {
    model = undefined;
    throw error;
  }
}

function device(): DeviceChoice {
  return elements.choice.value as DeviceChoice;
}

function loading({ stage, loaded, total }: LoadProgress): void {
  tell.progress(loaded, total);
  const amount = `${megabytes(loaded)} of ${megabytes(total)}`;
  if (stage === 'download') tell.count(`Loading the model: ${amount}`);
  else if (stage === 'upload') tell.count(`Unpacking the model: ${amount}`);
  else if (stage === 'compile') tell.status('Preparing the GPU, once …');
}

function atWork({ kind, name, warning }: DeviceState): string {
  const place = kind === 'cpu' ? 'the CPU' : kind === 'software' ? 'a software adapter' : 'the GPU';
  return `Computes on ${place}: ${name}${warning ? ` (${warning})` : ''}`;
}

/** Another device is another engine; the next request loads it. */
async function changeDevice(): Promise<void> {
  running?.abort();
  await forget();
  await prepare();
}

/** Ends the engine, if there is one; the next request loads a new one. */
async function forget(): Promise<void> {
  const old = model;
  model = undefined;
  await (await old?.catch(() => undefined))?.dispose();
}

async function follow(event: GenerateEvent, start: number): Promise<void> {
  switch (event.type) {
    case 'stage':
      tell.status({ encode: 'Reading the prompt …', sample: 'Sampling …', decode: 'Decoding …' }[event.stage]);
      break;
    case 'load':
      tell.progress(event.loaded, event.total);
      tell.count(`Loading: ${megabytes(event.loaded)} of ${megabytes(event.total)}`);
      break;
    case 'warning':
      tell.warning(event.message);
      break;
    case 'step':
      tell.progress(event.step, event.steps);
      tell.count(`Step ${event.step} of ${event.steps}`);
      break;
    case 'decode':
      tell.progress(event.done, event.total);
      tell.count(`Decoding: ${Math.floor((100 * event.done) / event.total)} %`);
      break;
    case 'preview':
      stage.preview(event.frames);
      break;
    case 'done': {
      const { output, seed, timings, warnings } = event;
      await stage.result(output);
      if (warnings.length) tell.warning(warnings.join(' '));
      const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
      tell.status(`Done in ${seconds(performance.now() - start)}.`);
      elements.facts.textContent = `Seed ${seed} · sampling ${seconds(timings.sampleMs)}, decoding ${seconds(timings.decodeMs)}`;
    }
  }
}

function sentence(error: unknown): string {
  return error instanceof FlagditError ? `${error.message} (${error.code})` : String(error);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** What will be downloaded and where it will run, and the model's own sizes and defaults, before anything is. */
async function prepare(): Promise<void> {
  elements.error.hidden = true;
  const can = await probe();
  if (!can.wasmSimd) {
    tell.error('This browser has no WebAssembly with SIMD, which is needed; a newer one has it (unsupported)');
    return;
  }
  try {
    const engine = chooseDevice(device(), can);
    tell.device(willWork(engine, can));
    announce(await plan(MODEL), engine);
  } catch (error) {
    tell.error(sentence(error));
  }
}

function willWork(engine: DeviceKind, { adapter, reason }: Capabilities): string {
  if (engine === 'gpu') return `Will compute on ${adapter?.isFallback ? 'a software adapter' : 'the GPU'}.`;
  if (device() === 'cpu') return 'Will compute on the CPU.';
  return `Will compute on the CPU (${reason ?? 'its GPU is no real one, or lacks what is needed'}).`;
}

function announce({ manifest, bytes, cachedBytes, engineBytes }: Plan, engine: DeviceKind): void {
  const missing = bytes - cachedBytes;
  tell.status(
    missing
      ? `The first time downloads the model, ${megabytes(missing)}, and the engine, at most ${megabytes(engineBytes[engine])}.`
      : 'The model is here already: no download.',
  );
  form.adapt(manifest);
}

/** What the user can do. */
function listen(): void {
  form.listen();
  listenToSpace();
  elements.form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (running) running.abort();
    else void generate();
  });
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape') running?.abort();
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !running) elements.form.requestSubmit();
  });
  elements.choice.addEventListener('change', () => void changeDevice());
}

/** Keeps the page itself for visits without a network; its service worker comes too late to see the first fetches. */
async function stayOffline(): Promise<void> {
  await navigator.serviceWorker.register('./sw.js');
  const { active } = await navigator.serviceWorker.ready;
  const fetched = performance.getEntriesByType('resource').map(({ name }) => name);
  // By its place in the site, as the worker tells it: the site itself may lie below a folder of that name.
  const site = new URL('.', location.href).href;
  const own = fetched.filter((name) => name.startsWith(site) && !name.slice(site.length).startsWith('weights/'));
  active?.postMessage([location.href.split(/[?#]/)[0], ...own]);
}

elements.choice.value = query.get('device') ?? 'auto';
if (!elements.choice.value) elements.choice.value = 'auto';
listen();
void prepare();
if ('serviceWorker' in navigator && import.meta.env.PROD) stayOffline().catch(() => {}); // Then the page needs the network, and no more.
