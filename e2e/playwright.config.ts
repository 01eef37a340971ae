import { defineConfig } from '@playwright/test';

const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** WebGPU on the adapter of this name. */
export const webgpu = (adapter: string) => ['--enable-unsafe-webgpu', `--use-webgpu-adapter=${adapter}`];
/** A software adapter, so that no GPU that happens to be there decides whether the tests pass. */
const SWIFTSHADER = webgpu('swiftshader');

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const browser = (args: string[]) => ({ launchOptions: { executablePath, args: [...FLAGS, ...args] } });

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
  use: { trace: 'retain-on-failure' },
  projects: [
    // WebGL, for the object in three dimensions, is there without a GPU only if it is asked for.
    { name: 'without WebGPU', testIgnore: /webgpu/, use: browser(['--disable-gpu', '--enable-unsafe-swiftshader']) },
    // The adapter takes a second to compile a shader, and machines are three times slower than others.
    { name: 'WebGPU', testMatch: /webgpu/, timeout: 480_000, expect: { timeout: 240_000 }, use: browser(SWIFTSHADER) },
  ],
});
