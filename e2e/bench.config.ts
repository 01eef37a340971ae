import { defineConfig } from '@playwright/test';

import tests, { browser, webgpu } from './playwright.config.js';

/** `cargo xtask bench`: one measurement in a fresh browser, on the adapter that `ADAPTER` names. */
export default defineConfig({
  ...tests,
  testDir: 'bench',
  // A software adapter takes minutes where a GPU takes a second.
  timeout: 1_800_000,
  projects: [{ name: 'bench', use: browser(webgpu(process.env.ADAPTER ?? 'swiftshader')) }],
});
