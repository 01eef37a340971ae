import AxeBuilder from '@axe-core/playwright';

import { expect, flagdit, test } from './fixtures.js';
import { ROOT } from './server.js';

type Flagdit = typeof import('../../web/dist/index.js');

test('a page measures what the command line program measures', async ({ page, app }) => {
  await page.goto(`${app}bench.html`);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await page.getByLabel('Width').fill('32');
  await page.getByLabel('Height').fill('32');
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Measure' }).click();
  await expect(page.getByRole('status')).toHaveText('Done.');
  await expect(page.getByRole('table', { name: 'What was measured' })).toContainText('GFLOP/s');
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

  const ours = JSON.parse(await page.getByLabel('The report as JSON').innerText());
  const model = `${ROOT}/weights-quantized/toybox`;
  const theirs = JSON.parse(flagdit('bench', '--json', '--model', model, '--size', '32x32', '--steps', '2', '--device', 'cpu'));
  expect(Object.keys(ours)).toEqual(Object.keys(theirs));
  const same = ['type', 'model', 'modelHash', 'work', 'kind', 'width', 'height', 'steps', 'solver', 'guidance', 'batch', 'tokens', 'captionTokens'];
  for (const name of same) expect(ours[name], name).toEqual(theirs[name]);
  expect(ours.adapter).toEqual({ name: 'WebAssembly', backend: 'flex', kind: 'cpu', isSoftware: false });
  expect(ours.counted).toBeGreaterThanOrEqual(5);
  expect(ours.peakMemoryBytes).toBeGreaterThan(1 << 20);
});

test('the page says what cannot be measured, and stops', async ({ page, app }) => {
  await page.goto(`${app}bench.html?work=denoiser&device=cpu`);
  await page.getByLabel('Width').fill('70');
  await page.getByRole('button', { name: 'Measure' }).click();
  await expect(page.getByRole('alert')).toHaveText(/size: expected multiples of 16.*bad-request/);
  await page.getByLabel('Width').fill('256');
  await page.getByLabel('Height').fill('256');
  await page.getByRole('button', { name: 'Measure' }).click();
  await expect(page.getByRole('status')).toHaveText('Measuring …');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByRole('status')).toHaveText('Stopped.');
});

test('a script measures the denoiser alone, and is refused what makes no sense', async ({ page, served }) => {
  await page.goto(`${served.origin}/weights/manifest.json`);
  const { report, stages, failures } = await page.evaluate(async (origin) => {
    const { bench } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    const stages = new Set<string>();
    const onProgress = ({ stage }: { stage: string }) => stages.add(stage);
    const report = await bench(`${origin}/weights/`, { denoiser: { width: 32, height: 16, batch: 3, captionTokens: 5 }, onProgress });
    const failure = (options: object) => bench(`${origin}/weights/`, options).then(
      () => 'nothing was thrown',
      (error: { code: string }) => error.code,
    );
    const failures = [
      await failure({ denoiser: { batch: 0 } }),
      await failure({ denoiser: { wdith: 32 } }),
      await failure({ request: { steps: 0 } }),
      await failure({ device: 'gpu' }),
      await failure({ signal: AbortSignal.abort() }),
    ];
    return { report, stages: [...stages], failures };
  }, served.origin);
  expect(report).toMatchObject({ work: 'denoiser', width: 32, height: 16, batch: 3, captionTokens: 5 });
  expect(report.steps).toBeUndefined();
  expect(report.stepMs).toBeGreaterThanOrEqual(report.leastStepMs);
  expect(stages).toEqual(expect.arrayContaining(['download', 'measure']));
  expect(failures).toEqual(['bad-request', 'bad-request', 'bad-request', 'webgpu-unavailable', 'aborted']);
});
