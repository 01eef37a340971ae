import { defineConfig } from '@playwright/test';

/** The browser is the machine's own; as root it has no sandbox, and it must not reach out by itself. */
export default defineConfig({
  testDir: 'tests',
  outputDir: 'test-results',
  // Two cores: a second browser would only make the first one wait.
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 60_000 },
  reporter: [['list']],
  forbidOnly: true,
  use: {
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
