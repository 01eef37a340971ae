/** A model in its worker. */
import type { Connection } from './connection.js';
import { aborted, DeviceError, RequestError } from './errors.js';
import { dress, type AudioOutput, type GenerateEvent, type Output, type VideoOutput, type ViewsOutput } from './output.js';
import type { DeviceState, EngineEvent, Kind } from './protocol.js';
import { complete, type AudioRequest, type ImageRequest, type Request, type VideoRequest, type ViewsRequest } from './request.js';
import type { ManifestHead } from './weights.js';

/** A sound, with the samples of its one channel. */
export interface Sound extends Omit<AudioOutput, 'samples'> {
  /** −1 … 1. */
  samples: Float32Array<ArrayBuffer>;
}

/** A loaded model. */
export class Model {
  /** @internal */
  constructor(
    private readonly connection: Connection,
    /** What the model says of itself. */
    readonly manifest: ManifestHead,
    /** SHA-256 of the manifest, which pins every byte of the model. */
    readonly identity: string,
    /** Where it runs. */
    readonly device: DeviceState,
  ) {}

  /**
   * Generates, event after event. Leaving the loop, or the signal, stops the work within one step.
   *
   * @throws FlagditError `bad-request`, `aborted`, `out-of-memory`, `device-lost`
   */
  async *generate(request: Request): AsyncGenerator<GenerateEvent, void, void> {
    const { signal, ...order } = complete(request);
    const stop = new AbortController();
    const events: EngineEvent[] = [];
    let wake = () => {};
    let isOver = false;
    const done = this.connection
      .send(
        { type: 'generate', request: order },
        {
          signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
          onEvent: (event) => {
            events.push(event);
            wake();
          },
        },
      )
      .finally(() => {
        isOver = true;
        wake();
      });
    done.catch(() => {}); // Awaited below; until then it is not unhandled.
    try {
      for (;;) {
        const event = events.shift();
        if (event) yield await dress(event);
        else if (isOver) break;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
      await done;
    } finally {
      stop.abort();
    }
  }

  /** Generates a picture. */
  async image(request: ImageRequest): Promise<ImageData> {
    return (await this.make('image', request)).frames[0]!;
  }

  /** Generates a video. */
  video(request: VideoRequest): Promise<VideoOutput> {
    return this.make('video', request);
  }

  /** Generates views around an object, and the object. */
  views(request: ViewsRequest): Promise<ViewsOutput> {
    return this.make('views', request);
  }

  /** Generates a sound. */
  async audio(request: AudioRequest): Promise<Sound> {
    const output = await this.make('audio', request);
    return { ...output, samples: output.samples[0]! };
  }

  /** Ends the worker and frees all memory. Whatever runs is rejected with `aborted`. */
  async dispose(): Promise<void> {
    this.connection.close(aborted());
  }

  private async make<K extends Kind>(kind: K, request: Request): Promise<Extract<Output, { kind: K }>> {
    const { kind: asked = kind } = request;
    if (asked !== kind) {
      throw new RequestError('bad-request', `kind: expected ${kind}, found ${asked}; every kind has a method of its own`);
    }
    for await (const event of this.generate({ ...request, kind })) {
      if (event.type === 'done') return event.output as Extract<Output, { kind: K }>;
    }
    throw new DeviceError('device-lost', 'the engine: expected an output, found none; load the model again');
  }
}
