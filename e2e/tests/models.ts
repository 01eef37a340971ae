/** Models of random numbers, of the sorts that are released: written by `cargo xtask checkpoint`, converted by the program. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestInfo } from '@playwright/test';

import { flagdit, PROGRAM } from './fixtures.js';
import { ROOT } from './server.js';

const CHECKPOINT = process.env.CHECKPOINT ?? join(dirname(PROGRAM), 'examples/checkpoint');
/** A small autoencoder, which no test of a denoiser needs more of. */
const VAE = join(ROOT, 'crate/tests/fixtures/vae/vae');
/** Pixels along each side of the picture that a GPU's programs are tried with, while the model loads. */
const NATIVE = 64;

/** A model as large as a released one but for these arguments of its networks, by their names in its `config.json`. */
export interface Sort {
  name: string;
  denoiser: object;
  /** None where the model knows labels. */
  text?: object;
  /** `q4` if absent. */
  quant?: string;
}

/** Knows seven classes instead of words. */
export const LABELS: Sort = {
  name: 'imagenet-next-600m',
  denoiser: { dim: 128, n_layers: 2, num_classes: 7 },
};

/** Gemma's vocabulary of 256 000 pieces in front of small networks. */
export const LARGE_VOCABULARY: Sort = {
  name: 'lumina-next',
  denoiser: { dim: 128, n_layers: 1, cap_feat_dim: 64 },
  text: { hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4, head_dim: 16 },
};

/** One block of Lumina-Next 2B, as wide as it is, with a small text encoder in front. */
export const FULL_WIDTH: Sort = {
  name: 'lumina-next',
  denoiser: { n_layers: 1, cap_feat_dim: 64 },
  text: { ...LARGE_VOCABULARY.text, vocab_size: 4096 },
};

/** Writes such a model into the test's own folder, and says where. */
export function makeModel(info: TestInfo, { name, denoiser, text, quant = 'q4' }: Sort): string {
  const [source, model] = [info.outputPath('checkpoint'), info.outputPath('model')];
  const parts = text ? ['denoiser', 'text'] : ['denoiser'];
  const changes = ['--denoiser', JSON.stringify(denoiser), ...(text ? ['--text', JSON.stringify(text)] : [])];
  execFileSync(CHECKPOINT, [name, '-o', source, '--parts', parts.join(), ...changes], { encoding: 'utf8' });
  const encoder = text ? ['--text-encoder', join(source, 'text_encoder')] : [];
  const config = ['--config', join(source, 'config.json')];
  flagdit('convert', source, ...config, ...encoder, '--vae', VAE, '--quant', quant, '-o', model, '--quiet');
  rmSync(source, { recursive: true });
  const path = join(model, 'manifest.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  manifest.sizes.image.native = [NATIVE, NATIVE];
  writeFileSync(path, JSON.stringify(manifest));
  return model;
}
