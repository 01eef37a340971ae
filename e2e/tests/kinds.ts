/** Small outputs of the kinds that are more than one picture, made in a page and opened with the browser's own readers. */
import type { Page } from '@playwright/test';

type Flagdit = typeof import('../../web/dist/index.js');

const COMMON = { steps: 4, seed: 7, previewEvery: 2 };

/** What is asked for, and how the command line program is asked for the same. */
export const KINDS = {
  video: {
    request: { kind: 'video', prompt: 'a red star moves right', frames: 4, width: 32, height: 32, ...COMMON },
    options: ['--kind', 'video', '--frames', '4', '--size', '32x32', '--steps', '4', '--seed', '7', '--device', 'cpu'],
    types: ['image/gif', 'image/apng', 'image/png'],
  },
  views: {
    request: { kind: 'views', prompt: 'a blue cone', views: 4, width: 32, height: 32, ...COMMON },
    options: ['--kind', 'views', '--views', '4', '--size', '32x32', '--steps', '4', '--seed', '7', '--device', 'cpu'],
    types: ['model/gltf-binary', 'image/png', 'image/gif', 'image/apng'],
  },
  audio: {
    request: { kind: 'audio', prompt: 'a low bell, rising', seconds: 0.5, ...COMMON },
    options: ['--kind', 'audio', '--seconds', '0.5', '--steps', '4', '--seed', '7', '--device', 'cpu'],
    types: ['audio/wav', 'image/png'],
  },
} as const;

export type KindName = keyof typeof KINDS;

/** An output as a test can look at it; files and frames are base64. */
export interface Made {
  /** Without those of decoding. */
  events: string[];
  /** Parts that were decoded, of how many. */
  decoded: [number, number][];
  /** Frames of each preview. */
  previews: number[];
  /** Width and height of each frame. */
  sizes: [number, number][];
  /** Each frame as a PNG file. */
  frames: string[];
  fps?: number;
  sampleRate?: number;
  samples?: number;
  loudest?: number;
  types: string[];
  files: Record<string, string>;
  /** What the browser's readers found: pictures and seconds in an animation, width and height of a picture, samples of a sound. */
  read: Record<string, number[]>;
  warnings: string[];
  launches: number;
}

/** Makes one of each of these kinds, with one model. */
export function make(page: Page, origin: string, device: 'cpu' | 'gpu', kinds: readonly KindName[]): Promise<Made[]> {
  return page.evaluate(makeInPage, { origin, device, requests: kinds.map((kind) => KINDS[kind].request) });
}

/** Runs in the page: whatever it needs is inside. */
async function makeInPage({ origin, device, requests }: { origin: string; device: 'cpu' | 'gpu'; requests: object[] }) {
  const { load } = (await import(`${origin}/dist/index.js`)) as Flagdit;

  const base64 = (blob: Blob) =>
    new Promise<string>((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve((reader.result as string).split(',')[1]!);
      reader.readAsDataURL(blob);
    });

  const png = async (frame: ImageData) => {
    const canvas = new OffscreenCanvas(frame.width, frame.height);
    canvas.getContext('2d')!.putImageData(frame, 0, 0);
    return base64(await canvas.convertToBlob());
  };

  const animation = async (blob: Blob) => {
    const decoder = new ImageDecoder({ data: await blob.arrayBuffer(), type: blob.type });
    await decoder.tracks.ready;
    await decoder.completed;
    const count = decoder.tracks.selectedTrack!.frameCount;
    let microseconds = 0;
    for (let frameIndex = 0; frameIndex < count; frameIndex++) {
      const { image } = await decoder.decode({ frameIndex });
      microseconds += image.duration ?? 0;
      image.close();
    }
    return [count, microseconds / 1e6];
  };

  const read = async (blob: Blob, sampleRate?: number): Promise<number[]> => {
    if (blob.type === 'model/gltf-binary') return []; // Not a format of browsers; the test has a reader for it.
    if (blob.type === 'image/gif' || blob.type === 'image/apng') return animation(blob);
    if (blob.type === 'audio/wav') {
      return [(await new OfflineAudioContext(1, 1, sampleRate!).decodeAudioData(await blob.arrayBuffer())).length];
    }
    const { width, height } = await createImageBitmap(blob);
    return [width, height];
  };

  const model = await load(`${origin}/weights/`, { device });
  const made: Made[] = [];
  for (const request of requests as Parameters<typeof model.generate>[0][]) {
    const [events, decoded, previews]: [string[], [number, number][], number[]] = [[], [], []];
    for await (const event of model.generate(request)) {
      if (event.type === 'decode') decoded.push([event.done, event.total]);
      else events.push(event.type);
      if (event.type === 'preview') {
        previews.push(event.frames.length);
        event.frames.forEach((frame) => frame.close());
      }
      if (event.type !== 'done') continue;
      const { output, warnings, stats } = event;
      const sound = output.kind === 'audio' ? output : undefined;
      const blobs = await Promise.all(output.types.map((type) => output.toBlob(type)));
      const files: [string, string][] = [];
      const found: [string, number[]][] = [];
      for (const blob of blobs) {
        files.push([blob.type, await base64(blob)]);
        found.push([blob.type, await read(blob, sound?.sampleRate)]);
      }
      made.push({
        events,
        decoded,
        previews,
        sizes: output.frames.map(({ width, height }) => [width, height]),
        frames: await Promise.all(output.frames.map(png)),
        fps: output.kind === 'video' ? output.fps : undefined,
        sampleRate: sound?.sampleRate,
        samples: sound?.samples[0]!.length,
        loudest: sound?.samples[0]!.reduce((loudest, sample) => Math.max(loudest, Math.abs(sample)), 0),
        types: [...output.types],
        files: Object.fromEntries(files),
        read: Object.fromEntries(found),
        warnings,
        launches: stats.shaderLaunches,
      });
    }
  }
  await model.dispose();
  return made;
}
