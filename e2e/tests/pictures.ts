/** One picture of the model that a test's server has under `model/`, and what it cost. */
import type { Page } from '@playwright/test';

type Flagdit = typeof import('../../web/dist/index.js');
type Request = import('../../web/dist/request.js').ImageRequest;

export interface Drawn {
  png: Buffer;
  /** From nothing, files and programs included. */
  loadSeconds: number;
  generateSeconds: number;
  heapBytes: number;
  launches: number;
}

/** What the request would take of this device, and the adapter's limits. */
export function planned(page: Page, origin: string, device: 'cpu' | 'gpu', request: Request) {
  return page.evaluate(
    async ([origin, device, request]) => {
      const { plan, probe } = (await import(`${origin}/dist/index.js`)) as Flagdit;
      const [can, { memory }] = [await probe(), await plan(`${origin}/model/`, request, { device })];
      return { limits: can.limits, memory };
    },
    [origin, device, request] as const,
  );
}

/** Loads the model on this device, draws, and ends the engine. */
export async function drawn(page: Page, origin: string, device: 'cpu' | 'gpu', request: Request): Promise<Drawn> {
  const { png, ...cost } = await page.evaluate(
    async ([origin, device, request]) => {
      const { load } = (await import(`${origin}/dist/index.js`)) as Flagdit;
      const seconds = (since: number) => (performance.now() - since) / 1000;
      const begun = performance.now();
      const model = await load(`${origin}/model/`, { device });
      const loadSeconds = seconds(begun);
      const asked = performance.now();
      for await (const event of model.generate(request)) {
        if (event.type !== 'done') continue;
        const { heapBytes, shaderLaunches: launches } = event.stats;
        const bytes = new Uint8Array(await (await event.output.toBlob()).arrayBuffer());
        const png = btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
        await model.dispose();
        return { png, loadSeconds, generateSeconds: seconds(asked), heapBytes, launches };
      }
      throw new Error('no picture came');
    },
    [origin, device, request] as const,
  );
  return { ...cost, png: Buffer.from(png, 'base64') };
}
