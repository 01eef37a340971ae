/** Readers of what browsers do not read or do not compare: objects and sounds. */
import { Box3, Mesh, Vector3 } from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';

/** The size of an object in a binary glTF file, and its triangles; fails if the file is not sound. */
export async function readObject(bytes: Buffer): Promise<{ size: number[]; triangles: number }> {
  const { scene } = await new GLTFLoader().parseAsync(new Uint8Array(bytes).buffer, '');
  let triangles = 0;
  scene.traverse((part) => {
    if (!(part instanceof Mesh)) return;
    const { index, attributes } = part.geometry;
    for (const name of ['position', 'normal', 'color']) {
      const values: ArrayLike<number> | undefined = attributes[name]?.array;
      if (!values?.length || !Array.from(values).every(Number.isFinite)) throw new Error(`${name}: no finite numbers`);
    }
    if (!Array.from(index.array as ArrayLike<number>).every((vertex) => vertex < attributes.position.count)) {
      throw new Error('an index of no vertex');
    }
    triangles += index.count / 3;
  });
  return { size: new Box3().setFromObject(scene).getSize(new Vector3()).toArray(), triangles };
}

/** The samples of a WAV file of 16 bits and one channel, −1 … 1. */
export function readWav(bytes: Buffer): Float32Array {
  const [form, channels, bits] = [bytes.toString('latin1', 0, 4), bytes.readUInt16LE(22), bytes.readUInt16LE(34)];
  if (form !== 'RIFF' || channels !== 1 || bits !== 16) throw new Error(`a WAV file of ${channels} channels, ${bits} bits`);
  const start = bytes.indexOf('data', 36, 'latin1') + 8;
  return Float32Array.from({ length: (bytes.length - start) / 2 }, (_, i) => bytes.readInt16LE(start + 2 * i) / 2 ** 15);
}

/**
 * How much larger the magnitudes of one sound's short spectra are than their distance from the other's, in dB. The phases
 * do not count: they are a guess from the magnitudes, in which a difference of nothing can grow.
 */
export function spectralSnr(one: Float32Array, other: Float32Array): number {
  const [a, b] = [magnitudes(one), magnitudes(other)];
  if (a.length !== b.length) throw new Error(`sounds of ${one.length} and ${other.length} samples`);
  let [signal, noise] = [0, 0];
  a.forEach((magnitude, i) => {
    signal += magnitude ** 2;
    noise += (magnitude - b[i]!) ** 2;
  });
  return 10 * Math.log10(signal / noise);
}

const WINDOW = 512;

/** Of windows that overlap by half, bin by bin. The plain sum: these sounds are short. */
function magnitudes(samples: Float32Array): number[] {
  const waves = Array.from({ length: WINDOW }, (_, i) => (2 * Math.PI * i) / WINDOW);
  const [cos, sin] = [waves.map(Math.cos), waves.map(Math.sin)];
  const all: number[] = [];
  for (let start = 0; start + WINDOW <= samples.length; start += WINDOW / 2) {
    const windowed = cos.map((value, i) => samples[start + i]! * (0.5 - 0.5 * value));
    for (let bin = 0; bin <= WINDOW / 2; bin++) {
      let [real, imaginary] = [0, 0];
      windowed.forEach((sample, i) => {
        real += sample * cos[(i * bin) % WINDOW]!;
        imaginary += sample * sin[(i * bin) % WINDOW]!;
      });
      all.push(Math.hypot(real, imaginary));
    }
  }
  return all;
}
