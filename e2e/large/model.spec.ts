/**
 * Loads the model in the folder `MODEL` on WebGPU, draws a picture of `SIZE` with one step, and compares it with that of the
 * command line program on the CPU. Of a released model with random weights: `cargo xtask checkpoint` and `flagdit convert`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';

import { webgpu } from '../playwright.config.js';
import { expect, flagdit, MAX_HEAP_BYTES, psnr, SAME_PICTURE_DB, test } from '../tests/fixtures.js';
import { drawn, planned } from '../tests/pictures.js';
import { serve } from '../tests/server.js';

const { MODEL, SIZE = '64x64', PROMPT = 'kamoti', MEMORY, CHROMIUM, ADAPTER = 'swiftshader' } = process.env;
const [width, height] = SIZE.split('x').map(Number) as [number, number];
const REQUEST = { prompt: PROMPT, width, height, steps: 1, seed: 7, solver: 'euler' };
const OPTIONS = ['--size', SIZE, '--steps', '1', '--seed', '7', '--solver', 'euler', '--device', 'cpu', '--quiet'];

test('a large model', async ({}, info) => {
  const served = await serve({ model: MODEL! });
  // A browser that keeps what it stores on the disk: what Playwright opens by itself keeps it in memory.
  const profile = mkdtempSync(join(tmpdir(), 'flagdit-profile-'));
  const executablePath = CHROMIUM ?? '/usr/bin/chromium';
  const args = ['--no-sandbox', '--disable-gpu-watchdog', ...webgpu(ADAPTER)];
  const browser = await chromium.launchPersistentContext(profile, { executablePath, args });
  try {
    const page = await browser.newPage();
    page.on('console', (message) => console.log(message.text()));
    await page.goto(`${served.origin}/model/manifest.json`);
    console.log(JSON.stringify(await planned(page, served.origin, 'gpu', REQUEST), null, 1));
    const { png, ...cost } = await drawn(page, served.origin, 'gpu', REQUEST);
    console.log(JSON.stringify({ ...cost, heapMiB: cost.heapBytes / 2 ** 20 }));
    expect(cost.heapBytes).toBeLessThanOrEqual(MAX_HEAP_BYTES);

    const theirs = info.outputPath('cli.png');
    flagdit('generate', PROMPT, '--model', MODEL!, '-o', theirs, ...OPTIONS, ...(MEMORY ? ['--memory', MEMORY] : []));
    const likeness = await psnr(page, png, theirs);
    console.log(`${likeness.toFixed(1)} dB`);
    expect(likeness).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
  } finally {
    await browser.close();
    await served.close();
    rmSync(profile, { recursive: true, force: true });
  }
});
