import { defineConfig } from '@playwright/test';

import tests from './playwright.config.js';

/** `MODEL=DIR npx playwright test --config large.config.ts`: a model of gigabytes in a browser, beside the program. */
export default defineConfig({
  ...tests,
  testDir: 'large',
  // A software adapter takes minutes where a GPU takes seconds.
  timeout: 3_600_000,
  projects: [{ name: 'large' }],
});
