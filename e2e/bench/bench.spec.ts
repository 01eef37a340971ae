/**
 * Measures the model in the folder `MODEL` as each of `OPTIONS` says, one after the other in one tab, and writes what the
 * package reports to the file `REPORT`. `PACKAGE`: the folder of another build of the package.
 */
import { writeFileSync } from 'node:fs';

import { test } from '@playwright/test';

import { serve } from '../tests/server.js';

type Flagdit = typeof import('../../web/dist/index.js');
const { MODEL, OPTIONS, PACKAGE, REPORT } = process.env;

test('measure', async ({ page }) => {
  const served = await serve({ model: MODEL!, ...(PACKAGE && { dist: PACKAGE }) });
  await page.goto(`${served.origin}/model/manifest.json`);
  const reports = await page.evaluate(
    async ([origin, all]) => {
      const { bench } = (await import(`${origin}/dist/index.js`)) as Flagdit;
      const reports = [];
      for (const options of JSON.parse(all)) reports.push(await bench(`${origin}/model/`, options));
      return reports;
    },
    [served.origin, OPTIONS!] as const,
  );
  await served.close();
  writeFileSync(REPORT!, JSON.stringify(reports));
});
