/** What this browser can do, and why not. Safe to call anywhere, also on a server. */

/** What `probe` found. */
export interface Capabilities {
  /** WebAssembly with SIMD, which the CPU engine needs. */
  wasmSimd: boolean;
  /** A WebGPU adapter that answers. */
  webgpu: boolean;
  /** Why there is no WebGPU. */
  reason?: string;
  /** What the adapter calls itself; browsers leave parts of it empty. */
  adapter?: { vendor: string; architecture: string; device: string; description: string; isFallback: boolean };
  /** Limits by name, as WebGPU spells them. */
  limits?: Record<string, number>;
  /** Features by name, as WebGPU spells them. */
  features?: string[];
}

/** What keeps the GPU engine from this browser's GPU, if anything does. */
export function gpuObstacle({ webgpu, reason, features }: Capabilities): string | undefined {
  if (!webgpu) return `expected WebGPU, found none (${reason})`;
  // The engine's runtime ends without it, even if nothing is ever timed.
  if (!features?.includes('timestamp-query')) return 'expected an adapter with timestamp-query, found one without';
  return undefined;
}

/** What the adapter is called, as far as the browser says. */
export function adapterName({ vendor, architecture, device, description }: NonNullable<Capabilities['adapter']>): string {
  return description || [vendor, architecture, device].filter(Boolean).join(' ') || 'a GPU without a name';
}

/** A module of one function that uses a SIMD instruction: `i8x16.splat` of zero, then popcnt. */
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** The parts of WebGPU that are asked for; the DOM types of TypeScript have none yet. */
interface Gpu {
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<{
    info: { vendor: string; architecture: string; device: string; description: string; isFallbackAdapter?: boolean };
    limits: object;
    features: Iterable<string>;
  } | null>;
}

export async function probe(): Promise<Capabilities> {
  const wasmSimd = typeof WebAssembly === 'object' && WebAssembly.validate(SIMD);
  const none = (reason: string): Capabilities => ({ wasmSimd, webgpu: false, reason });
  if (typeof navigator === 'undefined' || typeof location === 'undefined') return none('this is no browser');
  if (!globalThis.isSecureContext) return none('WebGPU needs https or localhost');
  const gpu = (navigator as { gpu?: Gpu }).gpu;
  if (!gpu) return none('this browser has no WebGPU');
  try {
    // In the words in which the engine asks for it.
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return none('no adapter answers: WebGPU is switched off, or the driver is blocked');
    const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
    // Limits are getters of the prototype.
    const names = Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(adapter.limits)));
    const values = names.map((name) => [name, (adapter.limits as Record<string, unknown>)[name]] as const);
    return {
      wasmSimd,
      webgpu: true,
      adapter: { vendor, architecture, device, description, isFallback: isFallbackAdapter ?? architecture === 'swiftshader' },
      limits: Object.fromEntries(values.filter((entry): entry is [string, number] => typeof entry[1] === 'number')),
      features: [...adapter.features].sort(),
    };
  } catch (error) {
    return none(`the adapter failed: ${(error as Error).message}`);
  }
}
