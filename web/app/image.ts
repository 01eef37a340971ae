/** A picture, as a file that can also be saved or copied from the page. */
import type { ImageOutput } from 'flagdit';

import { nameOf, type View } from './view.js';

export async function showImage(output: ImageOutput): Promise<View> {
  const element = document.createElement('div');
  element.className = 'screen';
  const image = new Image();
  image.alt = nameOf(output);
  image.src = URL.createObjectURL(await output.toBlob());
  await image.decode();
  element.append(image);
  return { element, rest: () => {}, release: () => URL.revokeObjectURL(image.src) };
}
