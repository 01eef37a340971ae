/** Stable codes; the command line program's exit codes have the same meanings. */
export type ErrorCode =
  | 'webgpu-unavailable'
  | 'device-lost'
  | 'out-of-memory'
  | 'quota'
  | 'network'
  | 'integrity'
  | 'bad-model'
  | 'bad-request'
  | 'unsupported'
  | 'file'
  | 'aborted';

/** Whatever goes wrong: one sentence that says what was expected, what was found, and what to do. */
export class FlagditError extends Error {
  constructor(
    /** What sort of thing went wrong. */
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
    this.name = new.target.name;
  }
}

/** The request cannot be met as it was written. */
export class RequestError extends FlagditError {}
/** The model is damaged, incomplete or of another kind. */
export class ModelError extends FlagditError {}
/** A server does not answer, or the browser's storage is full. */
export class NetworkError extends FlagditError {}
/** The browser or the device lacks what is needed, or stopped answering. */
export class DeviceError extends FlagditError {}
/** The caller asked to stop. */
export class AbortError extends FlagditError {}

/** An error as it crosses from the worker to the page. */
export interface PlainError {
  code: ErrorCode;
  message: string;
}

const CLASSES: Record<ErrorCode, new (code: ErrorCode, message: string) => FlagditError> = {
  'bad-request': RequestError,
  'bad-model': ModelError,
  integrity: ModelError,
  file: ModelError,
  network: NetworkError,
  quota: NetworkError,
  'webgpu-unavailable': DeviceError,
  'device-lost': DeviceError,
  'out-of-memory': DeviceError,
  unsupported: DeviceError,
  aborted: AbortError,
};

/** The error of the class that belongs to the code. */
export function revive({ code, message }: PlainError): FlagditError {
  return new CLASSES[code](code, message);
}

/** What can be posted to the page. Errors without a code are faults of this program. */
export function plain(error: unknown): PlainError {
  const { code, message } = error as Partial<PlainError>;
  if (code && code in CLASSES) return { code, message: message ?? code };
  return { code: 'unsupported', message: `the engine failed: ${message ?? String(error)}` };
}

export function aborted(): FlagditError {
  return new AbortError('aborted', 'stopped');
}
