import { expect, flagdit, MAX_HEAP_BYTES, psnr, SAME_PICTURE_DB, test } from './fixtures.js';
import { FULL_WIDTH, LABELS, makeModel, type Sort } from './models.js';
import { drawn } from './pictures.js';
import { serve } from './server.js';

const SIZE = { width: 64, height: 64, steps: 1, seed: 7, solver: 'euler' };
/** On the native GPU, since a CPU may round what it multiplies by codes of 4 bits to 8. */
const OPTIONS = ['--size', '64x64', '--steps', '1', '--seed', '7', '--solver', 'euler', '--device', 'gpu'];

interface Case {
  what: string;
  sort: Sort;
  /** What is asked for, here and of the program, and what else could be. */
  subject: { prompt: string } | { class: number };
  asked: string[];
  other: string[];
}

const CASES: Case[] = [
  { what: 'a class', sort: LABELS, subject: { class: 3 }, asked: ['--class', '3'], other: ['--class', '4'] },
  { what: 'what a block of the 2B makes', sort: FULL_WIDTH, subject: { prompt: 'kamoti' }, asked: ['kamoti'], other: ['bade'] },
];

for (const { what, sort, subject, asked, other } of CASES) {
  test(`draws ${what} as the command line program does`, async ({ page }, info) => {
    const model = makeModel(info, sort);
    const served = await serve({ model });
    await page.goto(`${served.origin}/model/manifest.json`);
    const made = await drawn(page, served.origin, 'gpu', { ...SIZE, ...subject });
    await served.close();
    const heap = `${(made.heapBytes / 2 ** 20).toFixed(0)} MiB`;
    console.log(`${what}: loaded in ${made.loadSeconds.toFixed(1)} s, drawn in ${made.generateSeconds.toFixed(1)} s, heap ${heap}`);
    expect(made.launches).toBeGreaterThan(0);
    expect(made.heapBytes).toBeLessThanOrEqual(MAX_HEAP_BYTES);

    const program = (subject: string[]) => {
      const file = info.outputPath(`${subject.join('')}.png`);
      flagdit('generate', ...subject, '--model', model, '-o', file, ...OPTIONS);
      return file;
    };
    const [likeness, unlikeness] = [await psnr(page, made.png, program(asked)), await psnr(page, made.png, program(other))];
    console.log(`${what}: ${likeness.toFixed(1)} dB; of something else ${unlikeness.toFixed(1)} dB`);
    expect(likeness).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
    // Random networks make much the same of everything, but not as much as two devices do of one.
    expect(unlikeness).toBeLessThan(SAME_PICTURE_DB);
  });
}
