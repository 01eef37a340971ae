/** Measures the model in the folder `MODEL` as `OPTIONS` say, and writes what the package reports to the file `REPORT`. */
import { writeFileSync } from 'node:fs';

import { test } from '@playwright/test';

import { serve } from '../tests/server.js';

type Flagdit = typeof import('../../web/dist/index.js');
const { MODEL, OPTIONS, REPORT } = process.env;

test('measure', async ({ page }) => {
  const served = await serve({ model: MODEL! });
  await page.goto(`${served.origin}/model/manifest.json`);
  const report = await page.evaluate(
    async ([origin, options]) => {
      const { bench } = (await import(`${origin}/dist/index.js`)) as Flagdit;
      return bench(`${origin}/model/`, JSON.parse(options));
    },
    [served.origin, OPTIONS!] as const,
  );
  await served.close();
  writeFileSync(REPORT!, JSON.stringify(report));
});
