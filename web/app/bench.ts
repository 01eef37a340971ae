/** The page that measures: a form, a table, and the report as JSON. `?model=URL&device=cpu&work=denoiser` choose too. */
import { bench, FlagditError, RequestError, type BenchProgress, type BenchReport, type DeviceChoice } from 'flagdit';

const get = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const [work, choice] = [get<HTMLSelectElement>('work'), get<HTMLSelectElement>('choice')];
const [width, height, steps] = [get<HTMLInputElement>('width'), get<HTMLInputElement>('height'), get<HTMLInputElement>('steps')];
const [kernels, button, progress] = [get<HTMLInputElement>('kernels'), get<HTMLButtonElement>('measure'), get<HTMLProgressElement>('progress')];
const [status, error, facts, whole, json] = [get('status'), get('error'), get<HTMLTableElement>('facts'), get('whole'), get('json')];

const query = new URLSearchParams(location.search);
const MODEL = query.get('model') ?? './weights/toybox/';
let running: AbortController | undefined;

async function measure(): Promise<void> {
  running = new AbortController();
  error.hidden = facts.hidden = whole.hidden = true;
  status.textContent = 'Loading the model …';
  button.textContent = 'Cancel';
  try {
    const size = { width: number(width), height: number(height) };
    const asked = work.value === 'denoiser' ? { denoiser: size } : { request: { ...size, steps: number(steps) } };
    const device = choice.value as DeviceChoice;
    show(await bench(MODEL, { ...asked, device, kernels: kernels.checked, onProgress, signal: running.signal }));
    status.textContent = 'Done.';
  } catch (failure) {
    const isStopped = failure instanceof FlagditError && failure.code === 'aborted';
    status.textContent = isStopped ? 'Stopped.' : '';
    error.hidden = isStopped;
    error.textContent = failure instanceof FlagditError ? `${failure.message} (${failure.code})` : String(failure);
  } finally {
    running = undefined;
    button.textContent = 'Measure';
  }
}

function number(input: HTMLInputElement): number | undefined {
  if (input.validity.badInput) throw new RequestError('bad-request', `${input.id}: expected a number`);
  return Number.isNaN(input.valueAsNumber) ? undefined : input.valueAsNumber;
}

function onProgress({ stage, loaded, total }: BenchProgress): void {
  progress.max = total || 1;
  progress.value = loaded;
  // Said once: screen readers read it out.
  if (stage === 'measure' && !status.textContent!.startsWith('Measuring')) status.textContent = 'Measuring …';
}

function show(report: BenchReport): void {
  const { adapter, batch, tokens, captionTokens } = report;
  const kind = adapter.isSoftware ? 'a software adapter: it says nothing of a GPU' : adapter.kind;
  const rows: [string, string][] = [
    ['Device', `${adapter.name} (${kind}; ${adapter.backend})`],
    ['Model', report.model],
    ['Work', report.steps ? `${report.width}×${report.height}, ${report.steps} steps of ${report.solver}` : `one call, ${report.width}×${report.height}`],
    ['Sequences', `${batch} of ${tokens} tokens, ${captionTokens} of the caption`],
    ['Step', `${milliseconds(report.stepMs)}, the median of ${report.counted}; ${milliseconds(report.leastStepMs)} at best, the first ${milliseconds(report.firstStepMs)}`],
    ['Denoiser', `${report.gflops.toFixed(1)} GFLOP/s`],
    ['Loading', milliseconds(report.loadMs)],
  ];
  if (report.generationMs) rows.push(['Picture', milliseconds(report.generationMs)]);
  if (report.peakMemoryBytes) rows.push(['Memory', mebibytes(report.peakMemoryBytes)]);
  if (report.deviceMemoryBytes) rows.push(['Memory of the GPU', mebibytes(report.deviceMemoryBytes)]);
  for (const { name, share, launches } of report.kernels ?? []) rows.push([`${(share * 100).toFixed(1)} %`, `${name}, ${launches} times`]);
  facts.tBodies[0]!.replaceChildren(...rows.map(([name, value]) => row(name, value)));
  json.textContent = JSON.stringify(report, null, 1);
  facts.hidden = whole.hidden = false;
}

function row(name: string, value: string): HTMLTableRowElement {
  const row = document.createElement('tr');
  const head = document.createElement('th');
  head.scope = 'row';
  head.textContent = name;
  row.append(head);
  row.insertCell().textContent = value;
  return row;
}

function milliseconds(value: number): string {
  return `${value.toFixed(value < 100 ? 1 : 0)} ms`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

/** A denoiser takes no steps of its own. */
function adapt(): void {
  steps.disabled = work.value === 'denoiser';
}

for (const [name, select] of [['work', work], ['device', choice]] as const) {
  const named = query.get(name);
  if ([...select.options].some(({ value }) => value === named)) select.value = named!;
}
get('form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (running) running.abort();
  else void measure();
});
work.addEventListener('change', adapt);
get('copy').addEventListener('click', () => void navigator.clipboard.writeText(json.textContent!));
adapt();
