import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, flagdit, psnr, SAME_PICTURE_DB, SAME_SOUND_DB, test } from './fixtures.js';
import { KINDS, make } from './kinds.js';
import { readObject, readWav, spectralSnr } from './readers.js';

/** The package as a page imports it without a bundler. */
type Flagdit = typeof import('../../web/dist/index.js');

const EVENTS = ['stage', 'stage', 'step', 'step', 'preview', 'step', 'step', 'stage', 'done'];

for (const kind of ['video', 'views'] as const) {
  const { request, options, types } = KINDS[kind];

  test(`makes the ${kind} that the command line program makes`, async ({ page, served }, info) => {
    await page.goto(`${served.origin}/weights/manifest.json`); // any page of this origin
    const [made] = await make(page, served.origin, 'cpu', [kind]);
    expect(made!.events.filter((event) => event !== 'warning')).toEqual(EVENTS);
    expect(made!.decoded).toEqual([1, 2, 3, 4].map((done) => [done, 4]));
    expect(made!.previews).toEqual([4]);
    expect(made!.sizes).toEqual(Array(4).fill([32, 32]));
    expect(made!.types).toEqual(types);
    expect(made!.warnings).toEqual([]);

    const seconds = 4 / (made!.fps ?? 8);
    for (const type of ['image/gif', 'image/apng']) {
      expect(made!.read[type]![0], type).toBe(4);
      expect(made!.read[type]![1], type).toBeCloseTo(seconds, 2);
    }
    expect(made!.read['image/png']![0]).toBeGreaterThan(64); // A sheet: two frames and what is between them.

    const folder = info.outputPath('frames');
    flagdit('generate', request.prompt, '-o', folder, ...options);
    for (const [place, frame] of made!.frames.entries()) {
      const theirs = join(folder, `${String(place).padStart(4, '0')}.png`);
      expect(await psnr(page, Buffer.from(frame, 'base64'), theirs), `frame ${place}`).toBeGreaterThanOrEqual(SAME_PICTURE_DB);
    }
    if (kind === 'views') {
      const ours = await readObject(Buffer.from(made!.files['model/gltf-binary']!, 'base64'));
      const file = info.outputPath('object.glb');
      flagdit('generate', request.prompt, '-o', file, ...options);
      const theirs = await readObject(readFileSync(file));
      expect(ours.triangles).toBeGreaterThan(100);
      ours.size.forEach((side, axis) => expect(side).toBeCloseTo(theirs.size[axis]!, 1));
    }
  });
}

test('makes the sound that the command line program makes', async ({ page, served }, info) => {
  const { request, options, types } = KINDS.audio;
  await page.goto(`${served.origin}/weights/manifest.json`);
  const [made] = await make(page, served.origin, 'cpu', ['audio']);
  expect(made!.events).toEqual(EVENTS);
  const [[, iterations]] = made!.decoded as [[number, number]];
  expect(made!.decoded).toEqual(Array.from({ length: iterations }, (_, place) => [place + 1, iterations]));
  expect(made!.previews).toEqual([1]);
  expect(made!.types).toEqual(types);
  expect([made!.samples, made!.sampleRate, made!.sizes.length]).toEqual([8000, 16_000, 1]);
  expect(made!.loudest).toBeGreaterThan(0.01);
  expect(made!.loudest).toBeLessThanOrEqual(1);
  expect(made!.read['audio/wav']).toEqual([8000]);
  expect(made!.read['image/png']).toEqual(made!.sizes[0]);

  const file = info.outputPath('sound.wav');
  flagdit('generate', request.prompt, '-o', file, ...options);
  const likeness = spectralSnr(readWav(Buffer.from(made!.files['audio/wav']!, 'base64')), readWav(readFileSync(file)));
  console.log(`the sound of the browser and of the program: ${likeness.toFixed(1)} dB`);
  expect(likeness).toBeGreaterThanOrEqual(SAME_SOUND_DB);
});

test('every kind has a method, and what does not fit is refused', async ({ page, served }) => {
  await page.goto(`${served.origin}/weights/manifest.json`);
  const found = await page.evaluate(async (origin) => {
    const { load } = (await import(`${origin}/dist/index.js`)) as Flagdit;
    const model = await load(`${origin}/weights/`, { device: 'cpu' });
    const small = { prompt: 'a red star', width: 32, height: 32, steps: 1 };
    const video = await model.video({ ...small, frames: 3, fps: 5, loop: true, transitions: [{ from: 0, to: 2, prompt: 'a blue star' }] });
    const views = await model.views({ ...small, views: 3 });
    const sound = await model.audio({ prompt: 'a high sine tone', steps: 1, seconds: 0.25 });
    const failure = async (work: () => Promise<unknown>) => {
      try {
        await work();
        return 'nothing was thrown';
      } catch (error) {
        const { name, code } = error as { name: string; code: string };
        return `${name} ${code}`;
      }
    };
    const abort = new AbortController();
    let lastStep = 0;
    const stopped = await failure(async () => {
      for await (const event of model.generate({ ...small, kind: 'video', frames: 4, steps: 900, signal: abort.signal })) {
        if (event.type !== 'step') continue;
        lastStep = event.step;
        abort.abort();
      }
    });
    return {
      video: [video.kind, video.frames.length, video.fps, (await video.toBlob()).type, video.settings.transitions!.length],
      views: [views.kind, views.frames.length, views.types.includes((await views.toBlob()).type as never)],
      sound: [sound.kind, sound.samples.length, sound.sampleRate, (await sound.toBlob()).type],
      stopped,
      lastStep,
      refused: [
        await failure(() => model.video({ ...small, frames: 0 })),
        await failure(() => model.video({ ...small, frames: 1e6 })),
        await failure(() => model.video({ ...small, frames: 2.5 })),
        await failure(() => model.video({ ...small, fps: 0 })),
        await failure(() => model.video({ ...small, frames: 3, transitions: [{ from: 1, to: 3, prompt: 'x' }] })),
        await failure(() => model.video({ ...small, seconds: 1 } as never)),
        await failure(() => model.image({ ...small, frames: 4 } as never)),
        await failure(() => model.views({ ...small, views: 0 })),
        await failure(() => model.views({ ...small, fps: 4 } as never)),
        await failure(() => model.audio({ prompt: 'a bell', seconds: 0 })),
        await failure(() => model.audio({ prompt: 'a bell', seconds: 1e6 })),
        await failure(() => model.audio({ prompt: 'a bell', width: 64 } as never)),
        await failure(() => model.video({ ...small, kind: 'image' } as never)),
        await failure(async () => {
          for await (const _ of model.generate({ ...small, kind: 'hologram' as never }));
        }),
        await failure(() => video.toBlob('audio/wav')),
        await failure(() => video.toBlob('image/webp')),
        await failure(() => sound.toBlob('image/gif')),
      ],
      after: (await model.image(small)).width,
    };
  }, served.origin);
  expect(found.video).toEqual(['video', 3, 5, 'image/gif', 1]);
  expect(found.views).toEqual(['views', 3, true]);
  expect(found.sound).toEqual(['audio', 4000, 16_000, 'audio/wav']);
  expect(found.stopped).toBe('AbortError aborted');
  expect(found.lastStep).toBeLessThanOrEqual(2);
  expect(found.refused).toEqual(Array(17).fill('RequestError bad-request'));
  expect(found.after).toBe(32);
});
