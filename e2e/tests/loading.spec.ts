import { expect, flagdit, MAX_HEAP_BYTES, psnr, SAME_PICTURE_DB, test } from './fixtures.js';
import { LARGE_VOCABULARY, makeModel } from './models.js';
import { drawn } from './pictures.js';
import { serve } from './server.js';

/** The package as a page imports it without a bundler. */
type Flagdit = typeof import('../../web/dist/index.js');

/** What a generation tells of loading: after which stage, how far, of how much. */
type Told = { stage: string; loaded: number; total: number };

test('networks that do not fit together come one after the other, and tell how far they are', async ({ page, served }) => {
  await page.goto(`${served.origin}/weights/manifest.json`); // any page of this origin
  const { fits, generations, same, failures } = await page.evaluate(async (origin) => {
    const { load, plan } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    const url = `${origin}/weights/`;
    const { stages } = (await plan(url, {}, { device: 'cpu' })).memory!;
    // As much as the largest stage needs alone.
    const memory = Math.max(...stages.map(({ weights, working }) => weights + working));
    const { staysLoaded, obstacles, peak } = (await plan(url, {}, { device: 'cpu', memory })).memory!;
    const model = await load(url, { device: 'cpu', memory });
    const whole = await load(url, { device: 'cpu' });

    const generate = async (prompt: string) => {
      const [order, told]: [string[], Told[]] = [[], []];
      let stage = '';
      for await (const event of model.generate({ prompt, steps: 2, seed: 7 })) {
        if (event.type === 'stage') ({ stage } = event);
        const name = event.type === 'stage' ? stage : event.type;
        if (name !== order.at(-1)) order.push(name);
        if (event.type === 'load') told.push({ stage, loaded: event.loaded, total: event.total });
      }
      return { order, told };
    };
    const failure = (memory: number) => load(url, { device: 'cpu', memory }).then(
      () => 'nothing was thrown',
      (error: { name: string; code: string }) => `${error.name} ${error.code}`,
    );
    const generations = [await generate('a red star'), await generate('a red star'), await generate('a blue cone')];
    const pixels = (one: typeof model) => one.image({ prompt: 'a red star', steps: 2, seed: 7 }).then(({ data }) => data.join());
    return {
      fits: [staysLoaded, obstacles.length, peak <= memory],
      generations,
      same: (await pixels(model)) === (await pixels(whole)),
      failures: [await failure(1000), await failure(0), await failure(0.5)],
    };
  }, served.origin);

  expect(fits).toEqual([false, 0, true]);
  const [first, again, other] = generations;
  expect(first!.order).toEqual(['encode', 'load', 'sample', 'load', 'step', 'decode', 'load', 'done']);
  // The prompt's features are kept, and what can stay stays.
  expect(again!.told.some(({ stage }) => stage === 'encode')).toBe(false);
  expect(again!.told.length).toBeGreaterThan(0);
  expect(other!.order.slice(0, 2)).toEqual(['encode', 'load']);
  for (const { told } of generations) {
    for (const stage of new Set(told.map(({ stage }) => stage))) {
      const loads = told.filter((load) => load.stage === stage);
      expect(loads.length, stage).toBeGreaterThan(1);
      expect(new Set(loads.map(({ total }) => total)).size, stage).toBe(1);
      loads.slice(1).forEach(({ loaded }, i) => expect(loaded, stage).toBeGreaterThan(loads[i]!.loaded));
      expect(loads.at(-1)!.loaded, stage).toBe(loads[0]!.total);
    }
  }
  expect(same).toBe(true);
  expect(failures).toEqual(['DeviceError out-of-memory', 'RequestError bad-request', 'RequestError bad-request']);
});

test('a vocabulary of 256 000 pieces fits into the memory of an engine', async ({ page }, info) => {
  const model = makeModel(info, LARGE_VOCABULARY);
  const served = await serve({ model });
  await page.goto(`${served.origin}/model/manifest.json`);
  const request = { prompt: 'kamoti is a word of this vocabulary', width: 32, height: 32, steps: 1, seed: 7 };
  const made = await drawn(page, served.origin, 'cpu', request);
  await served.close();
  console.log(`256 000 pieces: loaded in ${made.loadSeconds.toFixed(1)} s, heap ${(made.heapBytes / 2 ** 20).toFixed(0)} MiB`);
  expect(made.heapBytes).toBeLessThanOrEqual(MAX_HEAP_BYTES);

  const theirs = info.outputPath('cli.png');
  // On the GPU, since a CPU may round what it multiplies by codes of 4 bits to 8; WebAssembly rounds to 16.
  const options = ['--size', '32x32', '--steps', '1', '--seed', '7', '--device', 'gpu'];
  flagdit('generate', request.prompt, '--model', model, '-o', theirs, ...options);
  expect(await psnr(page, made.png, theirs)).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
});
