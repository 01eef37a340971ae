import AxeBuilder from '@axe-core/playwright';

import { expect, flagdit, open, psnr, SAME_PICTURE_DB, test } from './fixtures.js';

const PROMPT = 'a large red star on a blue background';

test('makes the picture that the command line program makes', async ({ page, app, served }, info) => {
  await open(page, app);
  await expect(page.getByRole('status')).toContainText('downloads the model');
  expect(served.requests.filter((path) => path.endsWith('.safetensors'))).toEqual([]);

  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill(PROMPT);
  await page.getByLabel('Seed', { exact: true }).fill('7');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeVisible();
  await expect(page.locator('#preview')).toBeVisible();
  await expect(page.getByRole('img', { name: PROMPT })).toBeVisible();
  await expect(page.getByRole('status')).toContainText('Done');
  await expect(page.getByRole('button', { name: 'Generate' })).toBeVisible();

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
  const [ours, theirs] = [info.outputPath('page.png'), info.outputPath('cli.png')];
  await download.saveAs(ours);
  flagdit('generate', PROMPT, '-o', theirs, '--seed', '7', '--device', 'cpu');
  expect(await psnr(page, ours, theirs)).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
  const request = (file: string) => JSON.parse(flagdit('inspect', file, '--json'));
  expect(request(ours)).toEqual(request(theirs));
});

test('stops within a step, by button and by key, and goes on', async ({ page, app }) => {
  await open(page, app);
  await page.getByLabel('Steps').fill('500');
  for (const stop of [() => page.getByRole('button', { name: 'Cancel' }).click(), () => page.keyboard.press('Escape')]) {
    await page.getByRole('button', { name: 'Generate' }).click();
    await expect(page.getByRole('status')).toContainText(/Step \d/);
    await stop();
    await expect(page.getByRole('status')).toHaveText('Stopped.', { timeout: 5_000 });
  }
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('status')).toContainText('Done');
});

test('stays free while it works, and gives the picture back when it is stopped', async ({ page, app }) => {
  await open(page, app);
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('status')).toContainText('Done');
  await page.getByLabel('Steps').fill('500');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.locator('#preview')).toBeVisible();
  // The longest time in which the page could do nothing.
  const longest = await page.evaluate(async () => {
    let [last, longest] = [performance.now(), 0];
    for (const end = last + 1000; last < end; ) {
      await new Promise((resolve) => setTimeout(resolve));
      const now = performance.now();
      [last, longest] = [now, Math.max(longest, now - last)];
    }
    return longest;
  });
  expect(longest).toBeLessThan(500);
  await page.keyboard.press('Escape');
  await expect(page.getByRole('status')).toHaveText('Stopped.');
  await expect(page.getByRole('img', { name: PROMPT })).toBeVisible();
  const download = page.getByRole('button', { name: 'Download' });
  await download.focus();
  await Promise.all([page.waitForEvent('download'), page.keyboard.press('Space')]);
});

test('works without a network once it has been used', async ({ page, app, context, served }) => {
  await open(page, app);
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('status')).toContainText('Done');
  await context.setOffline(true);
  await served.close();
  await open(page, app);
  await expect(page.getByRole('status')).toContainText('no download');
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('status')).toContainText('Done');
});

test('says what is wrong with a request, and stays usable', async ({ page, app }) => {
  await open(page, app);
  const refused: [string, string, RegExp][] = [
    ['Width', '70', /size: expected multiples of 16.*nearest: 64x64, 80x64.*bad-request/],
    ['Height', '100000', /size: .*bad-request/],
    ['Steps', '0', /steps: expected 1 to 1000, found 0.*bad-request/],
    ['Steps', '-3', /bad-request/],
    ['Guidance', '1000', /guidance: expected 0 to 100.*bad-request/],
    ['Seed', '-1', /seed: expected 0 to 9007199254740991.*bad-request/],
    ['Prompt', '   ', /prompt: expected a text.*bad-request/],
  ];
  for (const [name, value, sentence] of refused) {
    const field = page.getByLabel(name, { exact: true });
    const before = await field.inputValue();
    await field.fill(value);
    await page.getByRole('button', { name: 'Generate' }).click();
    await expect(page.getByRole('alert')).toHaveText(sentence);
    await field.fill(before);
  }
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('status')).toContainText('Done');
  await expect(page.getByRole('alert')).toBeHidden();
});

test('cuts a very long prompt and says what', async ({ page, app }) => {
  await open(page, app);
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('a red star '.repeat(900));
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('alert')).toContainText('longer than 64 tokens');
  await expect(page.getByRole('status')).toContainText('Done');
});

for (const [model, sentence] of [
  ['flipped', /denoiser-00001.safetensors: chunk \d.*damaged.*integrity/],
  ['html', /found a web page.*bad-model/],
  ['bad-manifest', /architecture.*expected flag-dit or next-dit, found flag-dot.*bad-model/],
  ['missing-shard', /denoiser-00001.safetensors.*404.*network/],
  ['cut', /denoiser-00001.safetensors.*before the connection broke.*network/],
  ['nowhere', /manifest.json.*404.*network/],
  ['cut-manifest', /manifest.json.*connection that broke.*network/],
  ['empty-manifest', /without a list of files.*bad-model/],
] as const) {
  test(`says what is wrong with a model: ${model}`, async ({ page, app, served }) => {
    await page.goto(`${app}?model=${served.origin}/${model}/`);
    await expect(page.getByText('Will compute on the CPU')).toBeVisible();
    if (!(await page.getByRole('alert').isVisible())) await page.getByRole('button', { name: 'Generate' }).click();
    await expect(page.getByRole('alert')).toHaveText(sentence);
    await expect(page.getByRole('button', { name: 'Generate' })).toBeEnabled();
  });
}

test('says that there is no WebGPU, and the CPU is one choice away', async ({ page, app }) => {
  await page.goto(`${app}?device=gpu`);
  await expect(page.getByRole('alert')).toHaveText(/device gpu: expected WebGPU, found none.*the device cpu is always there.*webgpu-unavailable/);
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('alert')).toHaveText(/webgpu-unavailable/);
  await page.getByText('More').click();
  await page.getByLabel('Device').selectOption('CPU');
  await expect(page.getByText('Will compute on the CPU.')).toBeVisible();
  await expect(page.getByRole('alert')).toBeHidden();
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('status')).toContainText('Done');
});

test('refuses what memory cannot hold, and goes on', async ({ page, app, served }) => {
  await open(page, `${app}?model=${served.origin}/huge/`);
  await page.getByLabel('Steps').fill('2');
  for (const [size, outcome] of [
    ['8192', /to sample takes .* MB are free: ask for a smaller size.*out-of-memory/],
    ['64', undefined],
  ] as const) {
    await page.getByLabel('Width').fill(size);
    await page.getByLabel('Height').fill(size);
    await page.getByRole('button', { name: 'Generate' }).click();
    if (outcome) await expect(page.getByRole('alert')).toHaveText(outcome);
    else await expect(page.getByRole('status')).toContainText('Done');
  }
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`can be used by everyone: ${colorScheme}`, async ({ page, app }) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 360, height: 740 });
    await open(page, app);
    await page.getByLabel('Steps').fill('2');
    await page.getByRole('button', { name: 'Generate' }).click();
    await expect(page.getByRole('button', { name: 'Download' })).toBeVisible();
    expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
    const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(content).toBeLessThanOrEqual(width);
  });
}

test('throws dice for the seed', async ({ page, app }) => {
  await open(page, app);
  const seed = page.getByLabel('Seed', { exact: true });
  const before = await seed.inputValue();
  await page.getByRole('button', { name: 'Random seed' }).click();
  expect(await seed.inputValue()).not.toBe(before);
});
