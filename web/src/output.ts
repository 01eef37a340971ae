/** What the engine made, with the browser's own types. */
import { RequestError } from './errors.js';
import type { EngineDone, EngineEvent, Kind, MediaType, Picture, Settings, Stats, Timings } from './protocol.js';

/** What every output has. */
interface Made<K extends Kind> {
  kind: K;
  /** Every choice that it came from. */
  settings: Settings;
  /** The files that it can be had as, the most usual first. */
  types: readonly MediaType[];
  /**
   * A file, the first of `types` if none is named. Those that can hold it carry the request, as the command line program's
   * do. Pictures can also be `image/jpeg` and `image/webp`.
   *
   * @throws RequestError `bad-request` for a type that there is no file of
   */
  toBlob(type?: MediaType | PhotoType): Promise<Blob>;
}

/** What browsers write themselves, without the request. */
type PhotoType = 'image/jpeg' | 'image/webp';

/** A picture. */
export interface ImageOutput extends Made<'image'> {
  /** One. */
  frames: ImageData[];
}

/** A video. */
export interface VideoOutput extends Made<'video'> {
  /** In the order of time. */
  frames: ImageData[];
  /** Frames a second. */
  fps: number;
}

/** Views around an object, of which `model/gltf-binary` is the object itself, if its outlines tell one. */
export interface ViewsOutput extends Made<'views'> {
  /** Evenly spaced around the upright axis, counter-clockwise as seen from above. */
  frames: ImageData[];
}

/** A sound. */
export interface AudioOutput extends Made<'audio'> {
  /** Its spectrogram. */
  frames: ImageData[];
  /** −1 … 1, by channel; there is one. */
  samples: Float32Array<ArrayBuffer>[];
  /** Samples a second. */
  sampleRate: number;
}

/** What was made. */
export type Output = ImageOutput | VideoOutput | ViewsOutput | AudioOutput;

/** What happens while generating; the last one is `done`. */
export type GenerateEvent =
  | { type: 'stage'; stage: 'encode' | 'sample' | 'decode' }
  /** Bytes of the stage's network that are on the device, where it was not there: some come one after the other. */
  | { type: 'load'; loaded: number; total: number }
  | { type: 'warning'; message: string }
  | { type: 'step'; step: number; steps: number }
  /** Parts of the output that are decoded: frames, passes over the tiles of a large picture, improvements of a sound. */
  | { type: 'decode'; done: number; total: number }
  /** What would come out if sampling stopped now (of sound the spectrogram); `image` is the first of the frames. */
  | { type: 'preview'; image: ImageBitmap; frames: ImageBitmap[] }
  /** `warnings`: files that could not be made of the output, and why. */
  | { type: 'done'; output: Output; seed: number; timings: Timings; stats: Stats; warnings: string[] };

/** The files by kind, the most usual first. */
const TYPES: Record<Kind, readonly MediaType[]> = {
  image: ['image/png'],
  video: ['image/gif', 'image/apng', 'image/png'],
  views: ['model/gltf-binary', 'image/png', 'image/gif', 'image/apng'],
  audio: ['audio/wav', 'image/png'],
};

/** An engine's event as callers see it. */
export async function dress(event: EngineEvent): Promise<GenerateEvent> {
  if (event.type === 'preview') {
    const frames = await Promise.all(event.frames.map((frame) => createImageBitmap(imageData(frame))));
    return { type: 'preview', image: frames[0]!, frames };
  }
  if (event.type !== 'done') return event;
  const { settings, timings, stats, warnings } = event;
  return { type: 'done', output: output(event), seed: settings.seed, timings, stats, warnings };
}

function output({ settings, frames: pictures, samples, sampleRate, files }: EngineDone): Output {
  const frames = pictures.map(imageData);
  const types = TYPES[settings.kind].filter((type) => files[type]);
  const blobs = new Map<string, Blob>(types.map((type) => [type, new Blob([files[type]!], { type })]));
  const toBlob: Output['toBlob'] = async (type = types[0]) => {
    const blob = blobs.get(type!);
    if (blob) return blob;
    if (settings.kind === 'image' && (type === 'image/jpeg' || type === 'image/webp')) return convert(frames[0]!, type);
    throw new RequestError('bad-request', `type: expected one of ${types.join(', ')}, found ${type}, as which it cannot be had`);
  };
  const made = { settings, types, toBlob, frames };
  switch (settings.kind) {
    case 'image':
    case 'views':
      return { kind: settings.kind, ...made };
    case 'video':
      return { kind: 'video', ...made, fps: settings.fps! };
    case 'audio':
      return { kind: 'audio', ...made, samples: [samples!], sampleRate: sampleRate! };
  }
}

function imageData({ width, height, rgba }: Picture): ImageData {
  return new ImageData(new Uint8ClampedArray(rgba.buffer), width, height);
}

async function convert(frame: ImageData, type: PhotoType): Promise<Blob> {
  const canvas = new OffscreenCanvas(frame.width, frame.height);
  canvas.getContext('2d')!.putImageData(frame, 0, 0);
  return canvas.convertToBlob({ type, quality: 0.95 });
}
