import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test as base, type Page } from '@playwright/test';

import { ROOT, serve, type Served } from './server.js';

export { expect } from '@playwright/test';

/** The least PSNR of one picture from two engines: sums of f32 products in another order, seen through 8 bits. */
export const SAME_PICTURE_DB = 50;

/** The least `spectralSnr` of one sound from two engines, for the same reason. */
export const SAME_SOUND_DB = 20;

/** The most that an engine may take of a tab's memory outside the GPU. */
export const MAX_HEAP_BYTES = 256 * 2 ** 20;

/** Every test has a server; a page that reports an error of its own fails its test. */
export const test = base.extend<{ served: Served; app: string }>({
  served: async ({}, use) => {
    const served = await serve();
    await use(served);
    await served.close();
  },
  app: async ({ served }, use) => use(`${served.origin}/some/where/`),
  page: async ({ page }, use) => {
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    await use(page);
    if (faults.length) throw new Error(`the page threw: ${faults.join('; ')}`);
  },
});

/** The command line program that was built from the same sources. */
export const PROGRAM = process.env.FLAGDIT ?? join(ROOT, 'target/release/flagdit');

/** Runs it. */
export function flagdit(...args: string[]): string {
  return execFileSync(PROGRAM, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The page once it knows the model: its sizes and defaults stand in the form. */
export async function open(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await page.getByLabel('Steps').and(page.locator(':valid')).waitFor();
}

/** Peak signal to noise ratio of two PNG files, decoded by the browser, in dB; infinite where they are equal. */
export async function psnr(page: Page, one: string | Buffer, other: string | Buffer): Promise<number> {
  const urls = [one, other].map((file) => {
    const bytes = typeof file === 'string' ? readFileSync(file) : file;
    return `data:image/png;base64,${bytes.toString('base64')}`;
  });
  return page.evaluate(async (urls) => {
    const pixels = async (url: string) => {
      const image = await createImageBitmap(await (await fetch(url)).blob());
      const context = new OffscreenCanvas(image.width, image.height).getContext('2d')!;
      context.drawImage(image, 0, 0);
      return context.getImageData(0, 0, image.width, image.height);
    };
    const [a, b] = [await pixels(urls[0]!), await pixels(urls[1]!)];
    if (a.width !== b.width || a.height !== b.height) throw new Error('pictures of different sizes');
    let sum = 0;
    a.data.forEach((value, i) => (sum += (value - b.data[i]!) ** 2));
    return 10 * Math.log10(255 ** 2 / (sum / a.data.length));
  }, urls);
}
