import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** A static site that works from any sub-path: every address in it is relative. The weights lie beside it. */
export default defineConfig({
  base: './',
  // The page is an ordinary user of the built package.
  resolve: { alias: { flagdit: fileURLToPath(new URL('../dist/index.js', import.meta.url)) } },
  worker: { format: 'es' },
  build: { outDir: '../site', emptyOutDir: true, target: 'es2022' },
});
