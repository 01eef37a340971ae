/** A static server, as plain as any, that can also misbehave in the ways servers do. */
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const WEIGHTS = join(ROOT, 'weights-quantized/toybox');
const SHARD = 'denoiser-00001.safetensors';

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** Folders by the first part of a path. */
const FOLDERS: Record<string, string> = {
  // Not at the root: the site must work from any sub-path.
  'some/where': join(ROOT, 'web/site'),
  dist: join(ROOT, 'web/dist'),
  weights: WEIGHTS,
};

/** Broken and lying copies of the model, by the first part of a path. */
const FAULTS: Record<string, (file: string, response: ServerResponse) => boolean> = {
  flipped: (file, response) => {
    if (file !== SHARD) return false;
    const bytes = readFileSync(join(WEIGHTS, file));
    bytes[bytes.length - 1000]! ^= 4;
    response.end(bytes);
    return true;
  },
  html: (_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>Everything is here</title>');
    return true;
  },
  'bad-manifest': (file, response) => {
    if (file !== 'manifest.json') return false;
    response.end(readFileSync(join(WEIGHTS, file), 'utf8').replace('"flag-dit"', '"flag-dot"'));
    return true;
  },
  // Says that it makes pictures that fit into no tab's memory.
  huge: (file, response) => {
    if (file !== 'manifest.json') return false;
    const manifest = JSON.parse(readFileSync(join(WEIGHTS, file), 'utf8'));
    manifest.sizes.image.max = [8192, 8192];
    response.end(JSON.stringify(manifest));
    return true;
  },
  'only-images': (file, response) => {
    if (file !== 'manifest.json') return false;
    const manifest = JSON.parse(readFileSync(join(WEIGHTS, file), 'utf8'));
    response.end(JSON.stringify({ ...manifest, modalities: ['image'] }));
    return true;
  },
  'cut-manifest': (file, response) => {
    if (file !== 'manifest.json') return false;
    response.writeHead(200, { 'content-length': 100_000 });
    response.write('{ "format": "flagdit"', () => response.destroy());
    return true;
  },
  'empty-manifest': (file, response) => {
    response.end(file === 'manifest.json' ? '{ "files": [null] }' : '');
    return true;
  },
  'missing-shard': (file, response) => {
    if (file !== SHARD) return false;
    response.writeHead(404).end('not found');
    return true;
  },
  cut: (file, response) => {
    if (file !== SHARD) return false;
    const { size } = statSync(join(WEIGHTS, file));
    response.writeHead(200, { 'content-length': size });
    createReadStream(join(WEIGHTS, file), { end: size / 2 }).on('data', (part) => response.write(part)).on('close', () => response.destroy());
    return true;
  },
};

export interface Served {
  origin: string;
  /** Paths that were asked for. */
  requests: string[];
  close(): Promise<void>;
}

/** Serves until closed; `folders` are added to the usual ones. */
export async function serve(folders: Record<string, string> = {}): Promise<Served> {
  const requests: string[] = [];
  const all = { ...FOLDERS, ...folders };
  const server: Server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url!, 'http://x').pathname)).slice(1);
    requests.push(path);
    const [first = '', ...rest] = path.split('/');
    const fault = FAULTS[first];
    if (fault?.(rest.join('/'), response)) return;
    const folder = fault ? first : Object.keys(all).find((name) => path.startsWith(`${name}/`));
    const base = fault ? WEIGHTS : folder && all[folder];
    const inside = folder ? path.slice(folder.length + 1) || 'index.html' : '';
    const file = base ? join(base, inside) : '';
    if (!file || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end('not found');
      return;
    }
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(() => resolve()))),
  };
}
