import { expect, flagdit, psnr, SAME_PICTURE_DB, test } from './fixtures.js';
import { LABELS, makeModel } from './models.js';
import { drawn } from './pictures.js';
import { serve } from './server.js';

/** The package as a page imports it without a bundler. */
type Flagdit = typeof import('../../web/dist/index.js');

const SIZE = { width: 64, height: 64, steps: 2, seed: 7 };

test('a model of classes draws the class that the command line program draws, and knows no other', async ({ page }, info) => {
  const model = makeModel(info, LABELS);
  const served = await serve({ model });
  await page.goto(`${served.origin}/model/manifest.json`);
  const made = await drawn(page, served.origin, 'cpu', { ...SIZE, class: 3 });
  const other = await drawn(page, served.origin, 'cpu', { ...SIZE, class: 4 });
  const { planned, conditioning, settings, refused, after } = await page.evaluate(
    async ([origin, size]) => {
      const { load, plan } = (await import(`${origin}/dist/index.js`)) as Flagdit;
      const { memory, manifest } = await plan(`${origin}/model/`, size, { device: 'cpu' });
      const model = await load(`${origin}/model/`, { device: 'cpu' });
      const ofWords = await load(`${origin}/weights/`, { device: 'cpu' });
      const failure = (one: typeof model, request: object) => one.image({ ...size, ...request }).then(
        () => 'nothing was thrown',
        ({ name, code, message }: { name: string; code: string; message: string }) => `${name} ${code}: ${message}`,
      );
      let settings;
      for await (const event of model.generate({ ...size, class: 6 })) {
        if (event.type === 'done') ({ settings } = event.output);
      }
      return {
        planned: [memory!.tokens, memory!.obstacles.length],
        conditioning: manifest.conditioning,
        settings,
        refused: [
          await failure(model, { class: 7 }),
          await failure(model, { prompt: 'a cat' }),
          await failure(ofWords, { class: 3 }),
          await failure(model, { class: 1.5 }),
          await failure(model, { class: -1 }),
          await failure(model, {}),
        ],
        after: (await model.image({ ...size, class: 0 })).width,
      };
    },
    [served.origin, SIZE] as const,
  );
  await served.close();

  const theirs = info.outputPath('cli.png');
  // On the GPU, since a CPU may round what it multiplies by codes of 4 bits to 8; WebAssembly rounds to 16.
  const options = ['--size', '64x64', '--steps', '2', '--seed', '7', '--device', 'gpu'];
  flagdit('generate', '--class', '3', '--model', model, '-o', theirs, ...options);
  expect(await psnr(page, made.png, theirs)).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
  // Random classes look alike, but not as much as two engines' pictures of one.
  expect(await psnr(page, made.png, other.png)).toBeLessThan(SAME_PICTURE_DB);
  expect([planned, conditioning]).toEqual([[16, 0], 'labels']);
  expect(settings).toMatchObject({ class: 6, prompt: '', seed: 7 });
  const whole = 'a whole number from 0 on';
  const parts = ['0 to 6', 'knows classes, not words', 'a prompt instead', whole, whole, 'a text, or a class'];
  for (const [i, part] of parts.entries()) {
    expect(refused[i]).toMatch(/^RequestError bad-request: /);
    expect(refused[i]).toContain(part);
  }
  expect(after).toBe(64);
});
