import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';

import { expect, open, test } from './fixtures.js';

const PROMPTS = { Video: 'a red star moves right', Views: 'a blue cone', Sound: 'a low bell, rising' } as const;
type Kind = keyof typeof PROMPTS;

/** Small ones. */
const FIELDS: Record<Kind, Record<string, string>> = {
  Video: { Width: '32', Height: '32', Frames: '4', 'Frames a second': '8', Steps: '4' },
  Views: { Width: '32', Height: '32', Views: '4', Steps: '4' },
  Sound: { Seconds: '0.5', Steps: '4' },
};

/** Asks for one and waits until it is there. */
async function generate(page: Page, kind: Kind): Promise<void> {
  await page.getByRole('radiogroup', { name: 'Kind' }).getByRole('radio', { name: kind }).check();
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill(PROMPTS[kind]);
  for (const [name, value] of Object.entries(FIELDS[kind])) {
    await page.getByRole('spinbutton', { name, exact: true }).fill(value);
  }
  await page.getByRole('button', { name: 'Generate' }).click();
  await expect(page.getByRole('img', { name: PROMPTS[kind] })).toBeVisible();
  await expect(page.getByRole('status')).toContainText('Done');
}

/** The names of the files that the buttons of these names save. */
async function saved(page: Page, names: string[]): Promise<string[]> {
  const files: string[] = [];
  for (const name of names) {
    const button = page.getByRole('button', { name, exact: true });
    const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
    files.push(download.suggestedFilename());
  }
  return files;
}

test('every kind has its own fields and example', async ({ page, app }) => {
  await open(page, app);
  const fields = async () =>
    page.getByRole('spinbutton').evaluateAll((inputs) => inputs.map((input) => (input as HTMLInputElement).labels![0]!.textContent));
  const prompt = page.getByRole('textbox', { name: 'Prompt', exact: true });
  const example = await prompt.inputValue();
  expect(await fields()).toEqual(['Width', 'Height', 'Steps', 'Guidance', 'Seed']);
  const image = page.getByRole('radio', { name: 'Image' });
  await image.focus();
  await page.keyboard.press('ArrowRight');
  await expect(page.getByRole('radio', { name: 'Video' })).toBeChecked();
  expect(await fields()).toEqual(['Width', 'Height', 'Frames', 'Frames a second', 'Steps', 'Guidance', 'Seed']);
  await expect(page.getByRole('checkbox', { name: 'Loop' })).toBeVisible();
  expect(await prompt.inputValue()).not.toBe(example);
  await page.keyboard.press('ArrowRight');
  expect(await fields()).toEqual(['Width', 'Height', 'Views', 'Steps', 'Guidance', 'Seed']);
  await page.keyboard.press('ArrowRight');
  expect(await fields()).toEqual(['Seconds', 'Steps', 'Guidance', 'Seed']);

  // What somebody typed stays.
  await prompt.fill('what I want');
  await page.getByRole('spinbutton', { name: 'Seconds' }).fill('1');
  await image.check();
  await expect(prompt).toHaveValue('what I want');
  await page.getByRole('radio', { name: 'Sound' }).check();
  await expect(page.getByRole('spinbutton', { name: 'Seconds' })).toHaveValue('1');
});

test('a model that makes only images offers nothing else', async ({ page, app, served }) => {
  await open(page, `${app}?model=${served.origin}/only-images/`);
  await expect(page.getByRole('radio', { name: 'Image' })).toBeEnabled();
  for (const kind of Object.keys(PROMPTS)) await expect(page.getByRole('radio', { name: kind })).toBeDisabled();
});

test('plays a video, by button and by key', async ({ page, app }) => {
  await open(page, app);
  await generate(page, 'Video');
  const place = page.getByRole('slider', { name: 'Frame' });
  await page.getByRole('button', { name: 'Pause' }).press('Space');
  await place.press('Home');
  await expect(place).toHaveAttribute('aria-valuetext', 'Frame 1 of 4');
  await place.press('ArrowRight');
  await expect(place).toHaveAttribute('aria-valuetext', 'Frame 2 of 4');

  // Without repeating it stops at its end.
  await page.getByRole('button', { name: 'Repeat' }).press('Enter');
  await expect(page.getByRole('button', { name: 'Repeat' })).toHaveAttribute('aria-pressed', 'false');
  await page.getByRole('combobox', { name: 'Speed' }).selectOption('4×');
  await page.getByRole('button', { name: 'Play' }).press('Enter');
  await expect(place).toHaveAttribute('aria-valuetext', 'Frame 4 of 4');
  await expect(page.getByRole('button', { name: 'Play' })).toBeVisible();
  const names = ['Download', 'Download GIF', 'Download APNG', 'Download PNG'];
  expect(await saved(page, names)).toEqual(['flagdit-7.gif', 'flagdit-7.gif', 'flagdit-7.apng', 'flagdit-7.png']);
});

test('turns views, and the object carved from them, by pointer and by key', async ({ page, app }) => {
  await open(page, app);
  await generate(page, 'Views');
  const table = page.getByRole('img', { name: PROMPTS.Views });
  const place = page.getByRole('slider', { name: 'View' });
  await page.getByRole('button', { name: 'Pause' }).press('Enter');
  await table.press('Home');
  await expect(place).toHaveValue('1');
  await table.press('ArrowRight');
  await expect(place).toHaveValue('2');
  await table.press('ArrowLeft');
  await table.press('ArrowLeft');
  await expect(place).toHaveValue('4');

  // Half of the width is half a turn; held still before it is let go, it stays.
  await table.press('Home');
  const { x, y, width, height } = (await table.boundingBox())!;
  await page.mouse.move(x + width / 4, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + (3 * width) / 4 + 2, y + height / 2, { steps: 8 });
  await page.waitForTimeout(200);
  await page.mouse.up();
  await expect(place).toHaveValue(/[23]/);

  const object = page.getByRole('img', { name: '3D object' });
  await expect(object).toBeVisible();
  const seen = [await object.screenshot()];
  for (const key of ['ArrowRight', 'ArrowUp', '+']) {
    await object.press(key);
    // Drawn in the next frame, or a few later.
    await expect(async () => expect((await object.screenshot()).equals(seen.at(-1)!)).toBe(false)).toPass();
    seen.push(await object.screenshot());
  }
  const names = ['Download', 'Download GLB', 'Download PNG', 'Download GIF', 'Download APNG'];
  expect(await saved(page, names)).toEqual(['glb', 'glb', 'png', 'gif', 'apng'].map((ending) => `flagdit-7.${ending}`));
});

test('plays a sound, beside its waveform and its spectrogram', async ({ page, app }) => {
  await open(page, app);
  await generate(page, 'Sound');
  await expect(page.getByRole('img', { name: 'Spectrogram' })).toBeVisible();
  const audio = page.getByLabel('Sound', { exact: true }).and(page.locator('audio'));
  await expect(audio).toBeVisible();
  const duration = await audio.evaluate(async (player: HTMLAudioElement) => {
    if (!player.duration) await new Promise((resolve) => player.addEventListener('durationchange', resolve, { once: true }));
    return player.duration;
  });
  expect(duration).toBeCloseTo(0.5, 2);
  const names = ['Download', 'Download WAV', 'Download PNG'];
  expect(await saved(page, names)).toEqual(['flagdit-7.wav', 'flagdit-7.wav', 'flagdit-7.png']);
});

test('moves nothing by itself for those who do not want it', async ({ page, app }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await open(page, app);
  for (const [kind, slider] of [['Video', 'Frame'], ['Views', 'View']] as const) {
    await generate(page, kind);
    await expect(page.getByRole('button', { name: 'Play' })).toBeVisible();
    await expect(page.getByRole('slider', { name: slider, exact: true })).toHaveValue('1');
  }
});

test('shows previews of every kind, stops within a step, and gives back what was there', async ({ page, app }) => {
  await open(page, app);
  for (const kind of Object.keys(PROMPTS) as Kind[]) {
    await generate(page, kind);
    await page.getByRole('spinbutton', { name: 'Steps' }).fill('500');
    await page.getByRole('button', { name: 'Generate' }).click();
    await expect(page.locator('#preview')).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.getByRole('status')).toHaveText('Stopped.', { timeout: 5_000 });
    await expect(page.getByRole('img', { name: PROMPTS[kind] })).toBeVisible();
  }
});

test('says what is wrong with a request of each kind', async ({ page, app }) => {
  await open(page, app);
  for (const [kind, name, value, sentence] of [
    ['Video', 'Frames', '0', /frames: expected 1 to \d+, found 0.*bad-request/],
    ['Video', 'Frames a second', '0', /fps: .*bad-request/],
    ['Views', 'Views', '100000', /views: expected 1 to \d+.*bad-request/],
    ['Sound', 'Seconds', '0', /seconds: expected above 0.*bad-request/],
  ] as const) {
    await page.getByRole('radio', { name: kind }).check();
    const field = page.getByRole('spinbutton', { name, exact: true });
    await field.fill(value);
    await page.getByRole('button', { name: 'Generate' }).click();
    await expect(page.getByRole('alert')).toHaveText(sentence);
    await field.fill('1');
  }
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`can be used by everyone: every kind, ${colorScheme}`, async ({ page, app }) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 360, height: 740 });
    await open(page, app);
    for (const kind of Object.keys(PROMPTS) as Kind[]) {
      await generate(page, kind);
      expect((await new AxeBuilder({ page }).analyze()).violations, kind).toEqual([]);
      const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      expect(content, kind).toBeLessThanOrEqual(width!);
    }
  });
}
