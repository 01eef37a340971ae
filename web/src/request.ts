/** What callers ask for: names and numbers that would not survive the way to the engine are refused here. */
import { RequestError } from './errors.js';
import type { DenoiserCall, EngineRequest, Kind } from './protocol.js';

/** The largest seed: 2⁵³ − 1. */
export const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** What to make, and how to stop it. A picture if `kind` is absent. */
export interface Request extends Partial<Pick<EngineRequest, 'kind' | 'seed'>>, Omit<EngineRequest, 'kind' | 'seed'> {
  /** Stops it within one step. */
  signal?: AbortSignal;
}

/** What every kind takes. */
type Common =
  | 'prompt' | 'class' | 'negativePrompt' | 'steps' | 'guidance' | 'solver' | 'timeShift' | 'seed' | 'previewEvery' | 'signal';

interface OfKind<K extends Kind> {
  kind?: K;
}

/** A picture to make. */
export interface ImageRequest extends Pick<Request, Common | 'width' | 'height'>, OfKind<'image'> {}
/** A video to make. */
export interface VideoRequest
  extends Pick<Request, Common | 'width' | 'height' | 'frames' | 'fps' | 'loop' | 'transitions'>,
    OfKind<'video'> {}
/** Views to make. */
export interface ViewsRequest extends Pick<Request, Common | 'width' | 'height' | 'views'>, OfKind<'views'> {}
/** A sound to make. */
export interface AudioRequest extends Pick<Request, Common | 'seconds'>, OfKind<'audio'> {}

const KINDS: readonly string[] = ['image', 'video', 'views', 'audio'] satisfies Kind[];

const NAMES: readonly string[] = [
  'kind', 'prompt', 'class', 'negativePrompt', 'width', 'height', 'steps', 'guidance', 'solver', 'timeShift', 'seed', 'previewEvery',
  'frames', 'fps', 'loop', 'transitions', 'views', 'seconds', 'signal',
] satisfies (keyof Request)[];

const CALL_NAMES: readonly string[] = ['width', 'height', 'batch', 'captionTokens'] satisfies (keyof DenoiserCall)[];

/** Refuses names that the engine would pass over. */
function knowAll(what: string, object: object, names: readonly string[]): void {
  const stranger = Object.keys(object).find((name) => !names.includes(name));
  if (stranger) throw new RequestError('bad-request', `${what}: expected fields among ${names.join(', ')}, found ${stranger}`);
}

/** The call, if all of it is known. */
export function checked(call: DenoiserCall): DenoiserCall {
  knowAll('denoiser', call, CALL_NAMES);
  return call;
}

/** The request with a kind and a seed. */
export function complete(request: Request): EngineRequest & { signal?: AbortSignal } {
  knowAll('request', request, NAMES);
  const { kind = 'image', seed = randomSeed(), ...rest } = request;
  if (!KINDS.includes(kind)) {
    throw new RequestError('bad-request', `kind: expected one of ${KINDS.join(', ')}, found ${String(kind)}`);
  }
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RequestError('bad-request', `seed: expected 0 to ${MAX_SEED}, found ${seed}`);
  }
  if (typeof rest.prompt !== 'string' && !(rest.prompt === undefined && rest.class !== undefined)) {
    throw new RequestError('bad-request', `prompt: expected a text, or a class, found ${typeof rest.prompt}`);
  }
  if (rest.class !== undefined && !(Number.isSafeInteger(rest.class) && rest.class >= 0)) {
    throw new RequestError('bad-request', `class: expected a whole number from 0 on, found ${String(rest.class)}`);
  }
  // Absent and undefined are the same here; to the engine they are not.
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return { ...(given as typeof rest), kind, seed };
}

/** A seed of 53 random bits. */
function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2)) as unknown as [number, number];
  return (high & 0x1fffff) * 2 ** 32 + low;
}
