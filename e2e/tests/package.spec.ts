import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, flagdit, MAX_HEAP_BYTES, psnr, SAME_PICTURE_DB, test } from './fixtures.js';
import { ROOT, serve } from './server.js';

/** The package as a page imports it without a bundler. */
type Flagdit = typeof import('../../web/dist/index.js');

test('its interface does what it says', async ({ page, served }) => {
  await page.goto(`${served.origin}/weights/manifest.json`); // any page of this origin
  const found = await page.evaluate(async (origin) => {
    const { load, plan, probe, AbortError, DeviceError, ModelError, NetworkError, RequestError } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    const can = await probe();
    const before = await plan(`${origin}/weights/`);
    const stages = new Set<string>();
    const model = await load(`${origin}/weights/`, { onProgress: ({ stage }) => stages.add(stage) });
    const kinds: string[] = [];
    let heapBytes = Infinity;
    for await (const event of model.generate({ prompt: 'a red star', steps: 3, seed: 1, previewEvery: 1 })) {
      kinds.push(event.type);
      if (event.type === 'preview') event.image.close();
      if (event.type === 'done') {
        heapBytes = event.stats.heapBytes;
        for (const type of ['image/png', 'image/jpeg', 'image/webp'] as const) kinds.push((await event.output.toBlob(type)).type);
      }
    }
    const same = [];
    for (const seed of [5, 5, 6]) same.push((await model.image({ prompt: 'a red star', steps: 1, seed })).data.join());
    const wide = await model.image({ prompt: 'x', steps: 1, width: 96, height: 32 });

    const failure = async (work: () => Promise<unknown>) => {
      try {
        await work();
        return 'nothing was thrown';
      } catch (error) {
        const { name, code } = error as { name: string; code: string };
        const isOfClass = [AbortError, DeviceError, ModelError, NetworkError, RequestError].some((type) => error instanceof type);
        return `${name} ${code} ${isOfClass}`;
      }
    };
    const abort = new AbortController();
    const stopped = failure(async () => {
      for await (const event of model.generate({ prompt: 'x', steps: 900, signal: abort.signal })) {
        if (event.type === 'step') abort.abort();
      }
    });
    const failures = [
      await stopped,
      await failure(() => model.image({ prompt: '' })),
      await failure(() => model.image({ prompt: 'x', seed: 0.5 })),
      await failure(() => model.image({ prompt: 'x', guidance: NaN })),
      await failure(() => model.image({ prompt: 'x', stepz: 3 } as never)),
      await failure(() => load(`${origin}/flipped/`)),
      await failure(() => load(`${origin}/weights/`, { signal: AbortSignal.abort() })),
      await failure(() => load([])),
      await failure(() => load(`${origin}/weights/`, { device: 'gpu' })),
      await failure(() => load(`${origin}/weights/`, { device: 'npu' as never })),
      await failure(() => load(`${origin}/weights/`, { wasmUrl: `${origin}/nowhere.wasm` })),
      await failure(() => load('http://[')),
      await failure(() => plan('http://[')),
      await failure(() => model.image({ prompt: 'x', steps: (() => 1) as never })),
      await failure(() => {
        const stop = new AbortController();
        return load(`${origin}/weights/`, { signal: stop.signal, onProgress: ({ stage }) => stage === 'upload' && stop.abort() });
      }),
    ];
    // Leaving the loop frees the engine for the next request.
    for await (const event of model.generate({ prompt: 'x', steps: 900 })) if (event.type === 'step') break;
    const after = await model.image({ prompt: 'x', steps: 1 });
    const device = model.device;
    await model.dispose();
    failures.push(await failure(() => model.image({ prompt: 'x' })));
    const cached = await plan(`${origin}/weights/`);
    // What a request would take, of a device that is asked for and of one that is too small.
    const planned = [
      (await plan(`${origin}/weights/`, { width: 256, height: 128 })).memory!,
      (await plan(`${origin}/weights/`, { width: 256, height: 256 }, { device: 'cpu', memory: 1e6 })).memory!,
    ];
    failures.push(await failure(() => plan(`${origin}/weights/`, { width: 60 })));
    return {
      planned,
      can, before, stages: [...stages], kinds, same: [same[0] === same[1], same[0] === same[2]],
      wide: [wide.width, wide.height], failures, after: after.width, device, cached, heapBytes,
    };
  }, served.origin);

  expect(found.can).toMatchObject({ wasmSimd: true, webgpu: false, reason: expect.stringContaining('') });
  expect(found.before.cachedBytes).toBe(0);
  const [cpu, small] = found.planned;
  expect(cpu!.download).toBe(found.before.bytes);
  expect([cpu!.tokens, cpu!.capacity.isGpu, cpu!.obstacles, cpu!.staysLoaded]).toEqual([136, false, [], true]);
  expect(small!.staysLoaded).toBe(false);
  expect(small!.obstacles[0]).toContain('MB are free');
  expect(found.cached.cachedBytes).toBe(found.before.bytes);
  expect(found.stages).toContain('download');
  expect(found.kinds).toEqual([
    'stage', 'stage', 'step', 'preview', 'step', 'preview', 'step', 'stage', 'done', 'image/png', 'image/jpeg', 'image/webp',
  ]);
  expect(found.same).toEqual([true, false]);
  expect(found.wide).toEqual([96, 32]);
  expect(found.after).toBe(64);
  expect(found.device.kind).toBe('cpu');
  expect(found.heapBytes).toBeLessThanOrEqual(MAX_HEAP_BYTES);
  expect(found.failures).toEqual([
    'AbortError aborted true',
    'RequestError bad-request true',
    'RequestError bad-request true',
    'RequestError bad-request true',
    'RequestError bad-request true',
    'ModelError integrity true',
    'AbortError aborted true',
    'ModelError file true',
    'DeviceError webgpu-unavailable true',
    'RequestError bad-request true',
    'NetworkError network true',
    'RequestError bad-request true',
    'RequestError bad-request true',
    'RequestError bad-request true',
    'AbortError aborted true',
    'AbortError aborted true',
    'RequestError bad-request true',
  ]);
});

test('takes a folder that the user picks', async ({ page, served }) => {
  await page.goto(`${served.origin}/weights/manifest.json`);
  await page.setContent('<input type="file" webkitdirectory />');
  await page.locator('input').setInputFiles(join(ROOT, 'weights-quantized/toybox'));
  const width = await page.evaluate(async (origin) => {
    const { load } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    const files = [...(document.querySelector('input')!.files as FileList)];
    const model = await load(files);
    return (await model.image({ prompt: 'a red star', steps: 1 })).width;
  }, served.origin);
  expect(width).toBe(64);
});

test('a server can import it', () => {
  const script = "const { probe } = await import('./web/dist/index.js'); console.log(JSON.stringify(await probe()))";
  const output = execFileSync('node', ['--input-type=module', '-e', script], { cwd: ROOT, encoding: 'utf8' });
  expect(JSON.parse(output)).toMatchObject({ webgpu: false, reason: 'this is no browser' });
});

test('the packed package works in a fresh Vite project', async ({ page }, info) => {
  const folder = mkdtempSync(join(tmpdir(), 'flagdit-consumer-'));
  const npm = (...args: string[]) => execFileSync('npm', args, { cwd: folder, encoding: 'utf8' });
  cpSync(join(ROOT, 'e2e/consumer'), folder, { recursive: true });
  const packed = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: join(ROOT, 'web'), encoding: 'utf8' }));
  npm('install', '--no-audit', '--no-fund', join(folder, packed[0].filename));
  execFileSync('npx', ['vite', 'build', folder, '--logLevel', 'warn'], { cwd: join(ROOT, 'e2e') });
  cpSync(join(ROOT, 'weights-quantized/toybox'), join(folder, 'dist/weights/toybox'), { recursive: true });

  const served = await serve({ shop: join(folder, 'dist') });
  await page.goto(`${served.origin}/shop/`);
  const address = await page.getByRole('img', { name: 'a large red star on a blue background' }).getAttribute('src');
  await served.close();
  const [ours, theirs] = [info.outputPath('package.png'), info.outputPath('cli.png')];
  writeFileSync(ours, Buffer.from(address!.split(',')[1]!, 'base64'));
  flagdit('generate', 'a large red star on a blue background', '-o', theirs, '--seed', '7', '--device', 'cpu');
  expect(await psnr(page, ours, theirs)).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
});
