import { writeFileSync } from 'node:fs';

import type { Page } from '@playwright/test';

import { expect, flagdit, MAX_HEAP_BYTES, open, psnr, SAME_PICTURE_DB, SAME_SOUND_DB, test } from './fixtures.js';
import { KINDS, make } from './kinds.js';
import { readWav, spectralSnr } from './readers.js';

/** The package and the engine with WebGPU, as a page imports them without a bundler. */
type Flagdit = typeof import('../../web/dist/index.js');
type GpuEngine = typeof import('../../web/dist/engine/gpu/flagdit.js');

const PROMPT = 'a large red star on a blue background';
/** Steps of the pictures here: this adapter is a processor that imitates a GPU. */
const STEPS = 3;
/** Evaluations a step of the midpoint solver, the manifest's. */
const STAGES = 2;

/** Any page of this origin. */
const visit = (page: Page, origin: string) => page.goto(`${origin}/weights/manifest.json`);

test('the adapter is the software adapter, which auto does not take', async ({ page, served }) => {
  await visit(page, served.origin);
  const { can, device } = await page.evaluate(async (origin) => {
    const { load, probe } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    const model = await load(`${origin}/weights/`);
    return { can: await probe(), device: model.device };
  }, served.origin);
  expect(can).toMatchObject({ webgpu: true, adapter: { architecture: 'swiftshader', isFallback: true } });
  expect(can.features).toContain('timestamp-query');
  expect(device).toMatchObject({ kind: 'cpu', warning: null });
  expect(served.requests.filter((path) => path.includes('engine/gpu'))).toEqual([]);
});

test('every shader compiles in every variant, and computes what the CPU computes', async ({ page, served }) => {
  await visit(page, served.origin);
  const { complaints, comparisons, variants } = await page.evaluate(async (origin) => {
    const engine = (await import(`${origin}/dist/engine/gpu/flagdit.js`)) as GpuEngine;
    await engine.default();
    const gpu = (navigator as unknown as { gpu: { requestAdapter(): Promise<any> } }).gpu;
    const device = await (await gpu.requestAdapter()).requestDevice();
    const complain = async ([name, code]: [string, string]) => {
      device.pushErrorScope('validation');
      const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
      await device.popErrorScope();
      return messages.map(({ type, lineNum, message }: any) => `${name}: ${type} in line ${lineNum}: ${message}`);
    };
    const sources = engine.shaderSources() as [string, string][];
    const broken: [string, string] = ['broken', sources[0]![1].replace('fn main(', 'fn main[')];
    return {
      variants: sources.length,
      complaints: [(await Promise.all(sources.map(complain))).flat(), await complain(broken)],
      comparisons: (await engine.compareKernels('gpu')) as { name: string; error: number }[],
    };
  }, served.origin);
  expect(variants).toBe(622);
  expect(complaints[0]).toEqual([]);
  expect(complaints[1]!.join()).toContain('broken: error in line');
  expect(comparisons.length).toBeGreaterThanOrEqual(21);
  for (const { name, error } of comparisons) expect(error, name).toBeLessThan(1e-5);
});

test('its interface does on a GPU what it does on the CPU, with our own shaders', async ({ page, served }, info) => {
  await visit(page, served.origin);
  const found = await page.evaluate(
    async ([origin, prompt, steps]) => {
      const { load, plan } = (await import(`${origin}/dist/index.js`)) as Flagdit;
      const planFor = async (device: 'gpu' | 'cpu') => (await plan(`${origin}/weights/`, {}, { device })).memory!;
      const planned = [await planFor('gpu'), await planFor('cpu')] as const;
      const progress: Record<string, [number, number]> = {};
      const model = await load(`${origin}/weights/`, {
        device: 'gpu',
        onProgress: ({ stage, loaded, total }) => (progress[stage] = [loaded, total]),
      });
      const kinds: string[] = [];
      let png = '';
      let stats, settings;
      for await (const event of model.generate({ prompt, steps, seed: 7, previewEvery: 2 })) {
        kinds.push(event.type);
        if (event.type !== 'done') continue;
        ({ stats } = event);
        ({ settings } = event.output);
        const bytes = new Uint8Array(await (await event.output.toBlob()).arrayBuffer());
        png = btoa(String.fromCharCode(...bytes));
      }
      const abort = new AbortController();
      let stopped = '';
      let lastStep = 0;
      try {
        for await (const event of model.generate({ prompt, steps: 900, signal: abort.signal })) {
          if (event.type !== 'step') continue;
          lastStep = event.step;
          abort.abort();
        }
      } catch (error) {
        stopped = (error as { code: string }).code;
      }
      const wide = await model.image({ prompt, steps: 1, width: 96, height: 48 });
      return {
        planned, progress, kinds, png, stats, settings, stopped, lastStep, wide: wide.width, device: model.device,
        manifest: model.manifest,
      };
    },
    [served.origin, PROMPT, STEPS] as const,
  );
  expect(found.device).toMatchObject({ kind: 'software', name: expect.stringMatching(/swiftshader/i), warning: expect.stringMatching(/swiftshader is a software adapter/) });
  const [onGpu, onCpu] = found.planned;
  expect([onGpu.capacity.isGpu, onGpu.obstacles, onGpu.staysLoaded]).toEqual([true, [], true]);
  expect(onGpu.capacity.maxBinding).toBeGreaterThanOrEqual(128 << 20);
  // Codes are multiplied by as they are, halves on a GPU alone.
  expect(onCpu.stages[1]!.weights).toBeGreaterThan(onGpu.stages[1]!.weights);
  expect(Object.keys(found.progress)).toEqual(['download', 'verify', 'upload', 'compile']);
  for (const [loaded, total] of Object.values(found.progress)) expect(loaded).toBe(total);
  expect(found.kinds).toEqual(['stage', 'stage', 'step', 'step', 'preview', 'step', 'stage', 'done']);
  expect([found.stopped, found.wide]).toEqual(['aborted', 96]);
  expect(found.lastStep).toBeLessThanOrEqual(2);

  // Every matrix once an evaluation, those that read the caption once, and those that paint twice, for the preview and the
  // picture, as every convolution: no layer went another way.
  const { tensors } = found.manifest as unknown as { tensors: Record<string, { shape: number[] }> };
  const times = (name: string) => {
    if (/^text\.embed_tokens|^denoiser\.audio|encoder\.mid_block|image\.quant_conv|image\.encoder|phase_embedder/.test(name)) return 0;
    // The words' queries and keys are turned by halves, which is a product too.
    if (/^decoders|self_attn\.[qk]_proj/.test(name)) return 2;
    return /^text|_y\.|cap_embedder/.test(name) ? 1 : STEPS * STAGES;
  };
  const products = Object.entries(tensors).map(([name, { shape }]) => (shape.length > 1 ? times(name) : 0));
  // To the tokens and to the caption, every evaluation; to the words of the prompt; to the pixels, in preview and picture.
  const attentions = Object.keys(tensors).map((name) => {
    if (/attention\.wq\.weight$/.test(name)) return 2 * STEPS * STAGES;
    if (/self_attn\.q_proj\.weight$/.test(name)) return 1;
    return /^decoders\.image\.decoder.*\.to_q\.weight$/.test(name) ? 2 : 0;
  });
  // Queries and keys are normed and turned, and tokens normed on the way into both halves of a block and out of the network,
  // every evaluation; the caption, its keys and its mean, and the words once.
  const norms = Object.keys(tensors).map((name) => {
    if (/^denoiser.*\.(q_norm|k_norm|attention_norm|ffn_norm)\.weight$|^denoiser\.final_layer\.linear\.weight$/.test(name)) return STEPS * STAGES;
    return /attention_y_norm\.weight$|ky_norm\.weight$|cap_embedder\.norm\.weight$|^text.*norm\.weight$/.test(name) ? 1 : 0;
  });
  const launches = [...products, ...attentions, ...norms];
  expect(found.stats!.shaderLaunches).toBe(launches.reduce((sum, count) => sum + count, 0));
  console.log(`heap on WebGPU: ${(found.stats!.heapBytes / 2 ** 20).toFixed(0)} MiB`);
  expect(found.stats!.heapBytes).toBeLessThanOrEqual(MAX_HEAP_BYTES);

  const [ours, theirs] = [info.outputPath('webgpu.png'), info.outputPath('cli.png')];
  writeFileSync(ours, Buffer.from(found.png, 'base64'));
  flagdit('generate', PROMPT, '-o', theirs, '--seed', '7', '--steps', String(STEPS), '--device', 'cpu');
  expect(await psnr(page, ours, theirs)).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
});

test('every kind comes out of a GPU as out of the CPU', async ({ page, served }) => {
  await visit(page, served.origin);
  const kinds = ['video', 'views', 'audio'] as const;
  const gpu = await make(page, served.origin, 'gpu', kinds);
  const cpu = await make(page, served.origin, 'cpu', kinds);
  for (const [i, kind] of kinds.entries()) {
    const [ours, theirs] = [gpu[i]!, cpu[i]!];
    expect(ours.types, kind).toEqual(KINDS[kind].types);
    expect([ours.sizes, ours.samples, ours.read, ours.launches > 0], kind).toEqual([theirs.sizes, theirs.samples, theirs.read, true]);
    for (const [place, frame] of ours.frames.entries()) {
      const [one, other] = [frame, theirs.frames[place]!].map((file) => Buffer.from(file, 'base64'));
      // Of a sound the frame is its spectrogram, which the guess of its phases does not touch.
      expect(await psnr(page, one!, other!), `${kind}, frame ${place}`).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
    }
  }
  const [one, other] = [gpu, cpu].map((made) => readWav(Buffer.from(made[2]!.files['audio/wav']!, 'base64')));
  expect(spectralSnr(one!, other!)).toBeGreaterThanOrEqual(SAME_SOUND_DB);
});

test('measures the denoiser, and every kernel of it', async ({ page, served }) => {
  await visit(page, served.origin);
  const report = await page.evaluate(async (origin) => {
    const { bench } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    return bench(`${origin}/weights/`, { device: 'gpu', denoiser: { width: 32, height: 32, captionTokens: 4 }, kernels: true });
  }, served.origin);
  expect(report.adapter).toMatchObject({ name: expect.stringMatching(/swiftshader/i), kind: 'software', isSoftware: true });
  expect(report).toMatchObject({ type: 'bench', work: 'denoiser', batch: 2, tokens: 6, captionTokens: 4 });
  expect(report.counted).toBeGreaterThanOrEqual(5);
  expect(report.deviceMemoryBytes).toBeGreaterThan(1 << 20);
  const kernels = report.kernels!;
  expect(kernels.map(({ name }) => name)).toEqual(expect.arrayContaining([expect.stringMatching(/^attention(_apart)?\.wgsl$/), 'qk_norm_rope.wgsl', 'linear.wgsl']));
  expect(kernels.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  expect(report.stock).toBe(false);

  // Burn's kernels are not in the engine that ships.
  const refusal = await page.evaluate(async (origin) => {
    const { bench } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    const refused = bench(`${origin}/weights/`, { device: 'gpu', denoiser: { width: 32, height: 32 }, stock: true });
    return refused.then(() => 'measured', (error) => error.code);
  }, served.origin);
  expect(refusal).toBe('bad-request');
});

test('auto goes on with the CPU where a GPU cannot be used after all', async ({ page, served }) => {
  await visit(page, served.origin);
  const device = await page.evaluate(async (origin) => {
    // As if the adapter were real, and workers could not reach it: browsers like that exist.
    Object.defineProperty(Object.getPrototypeOf((await (navigator as any).gpu.requestAdapter()).info), 'isFallbackAdapter', { value: false });
    const script = `Object.defineProperty(navigator, 'gpu', { value: undefined }); await import('${origin}/dist/worker.js');`;
    // What arrives before the import is done would be lost.
    const held = `const early = []; const hold = (event) => early.push(event.data); addEventListener('message', hold);
      ${script} removeEventListener('message', hold); early.forEach((data) => dispatchEvent(new MessageEvent('message', { data })));`;
    const workerUrl = URL.createObjectURL(new Blob([held], { type: 'text/javascript' }));
    const { load } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    const model = await load(`${origin}/weights/`, { workerUrl });
    const image = await model.image({ prompt: 'a', steps: 1 });
    return { ...model.device, width: image.width };
  }, served.origin);
  expect(device).toMatchObject({ kind: 'cpu', width: 64, warning: expect.stringMatching(/device gpu.*found none.*using the CPU instead/) });
});

test('the page makes the picture on WebGPU, and works offline', async ({ page, app, context, served }, info) => {
  const make = async () => {
    await open(page, `${app}?device=gpu`);
    await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill(PROMPT);
    await page.getByLabel('Steps').fill(String(STEPS));
    await page.getByRole('button', { name: 'Generate' }).click();
    await expect(page.getByRole('status')).toContainText('Done');
    await expect(page.getByText(/Computes on a software adapter: .*swiftshader/i)).toBeVisible();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
    const file = info.outputPath(`page-${await download.suggestedFilename()}`);
    await download.saveAs(file);
    return file;
  };
  const ours = await make();
  const theirs = info.outputPath('cli.png');
  flagdit('generate', PROMPT, '-o', theirs, '--seed', '7', '--steps', String(STEPS), '--device', 'cpu');
  expect(await psnr(page, ours, theirs)).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
  await context.setOffline(true);
  await served.close();
  await make();
});

test('says when the GPU is lost, and goes on with a new engine', async ({ page, app, browser }) => {
  await open(page, `${app}?device=gpu`);
  await page.getByLabel('Steps').fill('500');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('status')).toContainText(/Step \d/);
  await (await browser.newBrowserCDPSession()).send('Browser.crashGpuProcess');
  await expect(page.getByRole('alert')).toHaveText(/device-lost/);
  await page.getByLabel('Steps').fill('1');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('status')).toContainText('Done');
});
