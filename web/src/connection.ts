/** The page's end of the wire to the worker: commands out, replies to whoever waits for them. */
import { aborted, DeviceError, RequestError, revive, type FlagditError } from './errors.js';
import type { BenchProgress, BenchReport, Command, EngineEvent, Loaded, MemoryPlan, Reply } from './protocol.js';

type Sent = Extract<Command, { type: 'load' | 'plan' | 'bench' | 'generate' }>;
/** What commands are answered with. */
export type Answer = Loaded | MemoryPlan | BenchReport;
/** Without its number. */
export type Order = Sent extends infer C ? (C extends Sent ? Omit<C, 'id'> : never) : never;

/** What becomes of one command. */
interface Waiting {
  onProgress?: (progress: BenchProgress) => void;
  onEvent?: (event: EngineEvent) => void;
  resolve: (value: Answer | undefined) => void;
  reject: (error: FlagditError) => void;
}

export class Connection {
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private end?: FlagditError;

  constructor(private readonly worker: Worker) {
    worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => this.receive(data));
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      const reason = event.message || 'its script could not be loaded; is workerUrl right?';
      this.close(new DeviceError('unsupported', `the worker failed: ${reason}`));
    });
  }

  /** Sends a command; settles with its answer. `signal` cancels it. */
  send<A extends Answer>(
    order: Order,
    { signal, ...handlers }: Pick<Waiting, 'onProgress' | 'onEvent'> & { signal?: AbortSignal },
  ): Promise<A | undefined> {
    if (this.end) return Promise.reject(this.end);
    if (signal?.aborted) return Promise.reject(aborted());
    const id = ++this.lastId;
    const cancel = () => this.worker.postMessage({ id: ++this.lastId, type: 'cancel', target: id } satisfies Command);
    signal?.addEventListener('abort', cancel, { once: true });
    return new Promise<Answer | undefined>((resolve, reject) => {
      this.waiting.set(id, { ...handlers, resolve, reject });
      try {
        this.worker.postMessage({ id, ...order } as Command);
      } catch (error) {
        this.waiting.delete(id);
        reject(new RequestError('bad-request', `request: expected numbers and texts, found ${(error as Error).message}`));
      }
    }).finally(() => signal?.removeEventListener('abort', cancel)) as Promise<A | undefined>;
  }

  /** Ends the worker; whoever still waits gets `reason`. */
  close(reason: FlagditError): void {
    this.end ??= reason;
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }

  private receive(reply: Reply): void {
    if (reply.type === 'fatal') {
      this.close(revive(reply.error));
      return;
    }
    const waiting = this.waiting.get(reply.id);
    if (!waiting) return; // was given up
    if (reply.type === 'progress') waiting.onProgress?.(reply.progress);
    else if (reply.type === 'event') waiting.onEvent?.(reply.event);
    else {
      this.waiting.delete(reply.id);
      if (reply.type === 'done') waiting.resolve(reply.value);
      else waiting.reject(revive(reply.error));
    }
  }
}
