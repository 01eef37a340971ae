/** The files of an output, to save. */
import type { MediaType, Output } from 'flagdit';

import { elements } from './elements.js';

const ENDINGS: Record<MediaType, string> = {
  'image/png': 'png',
  'image/gif': 'gif',
  'image/apng': 'apng',
  'model/gltf-binary': 'glb',
  'audio/wav': 'wav',
};

let urls: string[] = [];

/** Offers the files of this output in place of those before. */
export async function offer(output: Output): Promise<void> {
  for (const url of urls) URL.revokeObjectURL(url);
  urls = [];
  const links = await Promise.all(output.types.map((type) => format(output, type)));
  const { download, formats } = elements;
  [download.href, download.download] = [links[0]!.href, links[0]!.download];
  formats.hidden = links.length < 2;
  formats.replaceChildren(...links);
}

async function format(output: Output, type: MediaType): Promise<HTMLAnchorElement> {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await output.toBlob(type));
  urls.push(link.href);
  link.download = `flagdit-${output.settings.seed}.${ENDINGS[type]}`;
  link.setAttribute('role', 'button');
  link.textContent = ENDINGS[type].toUpperCase();
  link.setAttribute('aria-label', `Download ${link.textContent}`);
  return link;
}

/** Links that look and are announced as buttons answer to the key of buttons. */
export function listenToSpace(): void {
  elements.downloads.addEventListener('keydown', (event) => {
    if (event.key !== ' ' || !(event.target instanceof HTMLAnchorElement)) return;
    event.preventDefault();
    event.target.click();
  });
}
