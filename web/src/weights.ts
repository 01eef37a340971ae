/**
 * Where a model's bytes come from: a URL, through the browser's cache, or files that the user picked. Only here is
 * anything fetched. Files go from the network straight into the cache; the engine then reads them piece by piece, and
 * compares every piece with its hash.
 */
import { aborted, ModelError, NetworkError } from './errors.js';
import type { LoadProgress, ModelPlace } from './protocol.js';

const CACHE = 'flagdit-weights-1';
const MANIFEST = 'manifest.json';
/** A manifest of the largest models has a few megabytes; anything larger is something else. */
const MAX_MANIFEST_BYTES = 64 << 20;

/** Files of a model by path, read piece by piece. */
export interface ByteSource {
  readonly name: string;
  size(path: string): Promise<number>;
  read(path: string, offset: number, length: number): Promise<Uint8Array>;
  /** Drops what was cached, because it is damaged. */
  forget(): Promise<void>;
}

/** How large an output may be: `[width, height]` in pixels, of sound `[frames]` of its spectrogram. */
export interface Sizes {
  native: number[];
  multiple: number;
  max: number[];
  /** How many pictures make a video or a set of views. */
  frames?: { native: number; max: number; fps?: number };
}

/** The part of a manifest that is of use before the engine reads all of it. */
export interface ManifestHead {
  name: string;
  /** The kinds that it makes. */
  modalities: string[];
  /** `labels` where requests name a class instead of a prompt. */
  conditioning?: 'text' | 'labels';
  /** By kind, as is `sampling`. */
  sizes: Record<string, Sizes>;
  components?: { decoders?: { audio?: { config: { sample_rate: number; hop: number } } } };
  sampling: Record<string, { steps: number; solver: string; guidance: number; time_shift: number }>;
  files: { path: string; bytes: number; sha256: string }[];
}

/** A manifest as bytes and as an object. */
interface Manifest {
  blob: Blob;
  head: ManifestHead;
}

type OnProgress = (progress: LoadProgress) => void;

/** The bytes of the model at this place. */
export function source(place: ModelPlace, onProgress: OnProgress, signal: AbortSignal): ByteSource {
  return 'url' in place ? new RemoteSource(place.url, onProgress, signal) : new PickedSource(place.files);
}

/** The manifest at `url`, and how much of the model would have to be downloaded. */
export async function head(url: string): Promise<{ manifest: ManifestHead; text: Blob; bytes: number; cachedBytes: number }> {
  const base = folder(url);
  const { head: manifest, blob: text } = await fetchManifest(base);
  const cache = await openCache();
  let [bytes, cachedBytes] = [0, 0];
  for (const file of manifest.files) {
    bytes += file.bytes;
    if (await cache?.match(key(base, file))) cachedBytes += file.bytes;
  }
  return { manifest, text, bytes, cachedBytes };
}

class RemoteSource implements ByteSource {
  private readonly base: URL;
  private manifest?: Promise<Manifest>;
  private readonly blobs = new Map<string, Promise<Blob>>();
  private loaded = 0;

  constructor(
    url: string,
    private readonly onProgress: OnProgress,
    private readonly signal: AbortSignal,
  ) {
    this.base = folder(url);
  }

  get name(): string {
    return this.base.href;
  }

  async size(path: string): Promise<number> {
    return (await this.blob(path)).size;
  }

  async read(path: string, offset: number, length: number): Promise<Uint8Array> {
    return slice(await this.blob(path), path, offset, length);
  }

  async forget(): Promise<void> {
    const cache = await openCache();
    const { head } = await this.open();
    await Promise.all(head.files.map((file) => cache?.delete(key(this.base, file))));
  }

  private open(): Promise<Manifest> {
    this.manifest ??= fetchManifest(this.base, this.signal);
    return this.manifest;
  }

  private async blob(path: string): Promise<Blob> {
    const { blob, head } = await this.open();
    if (path === MANIFEST) return blob;
    let file = this.blobs.get(path);
    if (!file) {
      file = this.fetch(path, head);
      this.blobs.set(path, file);
    }
    return file;
  }

  /** A file of the model: from the cache, or into it. */
  private async fetch(path: string, { files }: ManifestHead): Promise<Blob> {
    const file = files.find((file) => file.path === path);
    if (!file) throw new ModelError('bad-model', `${path}: expected a file that the manifest lists`);
    const total = files.reduce((sum, file) => sum + file.bytes, 0);
    const report = (bytes: number) => {
      this.loaded += bytes;
      this.onProgress({ stage: 'download', loaded: this.loaded, total, file: path });
    };
    const cache = await openCache();
    const cached = await cache?.match(key(this.base, file));
    if (cached) {
      report(file.bytes);
      return cached.blob();
    }
    const response = await get(new URL(path, this.base), this.signal);
    let received = 0;
    const counted = response.body!.pipeThrough(
      new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform: (chunk, controller) => {
          received += chunk.length;
          report(chunk.length);
          controller.enqueue(chunk);
        },
      }),
    );
    try {
      if (!cache) return await new Response(counted).blob();
      await cache.put(key(this.base, file), new Response(counted));
      if (received !== file.bytes) await cache.delete(key(this.base, file));
    } catch (error) {
      if (this.signal.aborted) throw aborted();
      if ((error as Error).name === 'QuotaExceededError') {
        throw new NetworkError(
          'quota',
          `${path}: expected room for ${file.bytes} bytes in the browser's storage, found too little; free some space`,
        );
      }
      throw new NetworkError(
        'network',
        `${path} in ${this.name}: expected ${file.bytes} bytes, found ${received} before the connection broke; try again`,
      );
    }
    if (received !== file.bytes) {
      throw new ModelError(
        'integrity',
        `${path} in ${this.name}: expected ${file.bytes} bytes, as the manifest says, found ${received}; ` +
          'is the model complete on the server?',
      );
    }
    const kept = await cache.match(key(this.base, file));
    if (!kept) throw new NetworkError('quota', `${path}: expected what was just stored, found nothing; was the browser's storage cleared?`);
    return kept.blob();
  }
}

/** A model folder that the user picked. */
class PickedSource implements ByteSource {
  readonly name = 'the picked files';
  private readonly files = new Map<string, File>();

  constructor(files: { path: string; file: File }[]) {
    const manifest = files.find(({ file }) => file.name === MANIFEST);
    const root = manifest ? manifest.path.slice(0, -MANIFEST.length) : '';
    for (const { path, file } of files) {
      if (path.startsWith(root)) this.files.set(path.slice(root.length), file);
    }
  }

  async size(path: string): Promise<number> {
    return this.file(path).size;
  }

  async read(path: string, offset: number, length: number): Promise<Uint8Array> {
    return slice(this.file(path), path, offset, length);
  }

  async forget(): Promise<void> {}

  private file(path: string): File {
    const file = this.files.get(path);
    if (file) return file;
    throw new ModelError('file', `${path}: expected a file of the model among those picked; pick the whole folder`);
  }
}

async function slice(blob: Blob, path: string, offset: number, length: number): Promise<Uint8Array> {
  if (offset + length > blob.size) {
    throw new ModelError('file', `${path}: expected ${length} bytes at ${offset}, found ${blob.size} bytes in all`);
  }
  return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
}

function folder(url: string): URL {
  const base = new URL(url, globalThis.location?.href);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}

/** Named by content, so that a new version of a model is never mixed up with an old one. */
function key(base: URL, file: { path: string; sha256: string }): string {
  const url = new URL(file.path, base);
  url.search = new URLSearchParams({ sha256: file.sha256 }).toString();
  return url.href;
}

/** None where the page is neither https nor localhost, or may not store anything. */
async function openCache(): Promise<Cache | undefined> {
  return globalThis.caches?.open(CACHE).catch(() => undefined);
}

/** The newest manifest; without a network, the one seen last. */
async function fetchManifest(base: URL, signal?: AbortSignal): Promise<Manifest> {
  const url = new URL(MANIFEST, base);
  const cache = await openCache();
  let response: Response;
  try {
    response = await get(url, signal);
  } catch (error) {
    const seen = error instanceof UnreachableError ? await cache?.match(url.href) : undefined;
    if (!seen) throw error;
    response = seen;
  }
  const blob = await response.blob().catch(() => {
    if (signal?.aborted) throw aborted();
    throw new NetworkError('network', `${url.href}: expected a manifest, found a connection that broke; try again`);
  });
  if (blob.size > MAX_MANIFEST_BYTES) {
    throw new ModelError('bad-model', `${url.href}: expected a manifest, found ${blob.size} bytes`);
  }
  const head = parse(await blob.text(), base.href);
  // Without it the next visit needs the network, and no more.
  await cache?.put(url.href, new Response(blob)).catch(() => {});
  return { blob, head };
}

/** No answer at all, which a cached copy may stand in for. */
class UnreachableError extends NetworkError {}

async function get(url: URL, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal, cache: 'no-cache' });
  } catch {
    if (signal?.aborted) throw aborted();
    throw new UnreachableError(
      'network',
      `${url.href}: expected an answer, found none; is the address right, and the network up?`,
    );
  }
  if (!response.ok || !response.body) {
    throw new NetworkError(
      'network',
      `${url.href}: expected a file, found HTTP status ${response.status}; is the address right?`,
    );
  }
  return response;
}

function parse(text: string, place: string): ManifestHead {
  const bad = (found: string) =>
    new ModelError('bad-model', `${place}${MANIFEST}: expected a model's manifest, found ${found}; is the address right?`);
  if (text.trimStart().startsWith('<')) throw bad('a web page');
  let manifest: ManifestHead;
  try {
    manifest = JSON.parse(text);
  } catch {
    throw bad('something that is not JSON');
  }
  const isFile = (file?: { path?: unknown; bytes?: unknown; sha256?: unknown }) =>
    typeof file?.path === 'string' && Number.isSafeInteger(file.bytes) && typeof file.sha256 === 'string';
  if (!Array.isArray(manifest?.files) || !manifest.files.every(isFile)) throw bad('JSON without a list of files');
  if (!Array.isArray(manifest.modalities)) throw bad('JSON without modalities');
  if (!manifest.sizes || !manifest.sampling) throw bad('JSON without sizes and sampling');
  return manifest;
}
