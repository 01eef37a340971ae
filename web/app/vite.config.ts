import { defineConfig } from 'vite';

/** A static site that works from any sub-path: every address in it is relative. The weights lie beside it. */
export default defineConfig({
  base: './',
  // The page is an ordinary user of the built package.
  resolve: { alias: { flagdit: new URL('../dist/index.js', import.meta.url).pathname } },
  worker: { format: 'es' },
  // The largest chunk is three.js, which only those load who look at objects.
  build: {
    outDir: '../site',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 800,
    rollupOptions: { input: ['index.html', 'bench.html'].map((page) => new URL(page, import.meta.url).pathname) },
  },
});
