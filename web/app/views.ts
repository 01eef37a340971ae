/** Views on a turntable, and beside it the object that was carved from them. */
import type { ViewsOutput } from 'flagdit';

import { copy, part } from './elements.js';
import { Film } from './film.js';
import { isMotionReduced } from './motion.js';
import { Player } from './player.js';
import { Turntable } from './turntable.js';
import { nameOf, type View } from './view.js';

/** One turn of the native eight views in two seconds. */
const VIEWS_A_SECOND = 4;

export async function showViews(output: ViewsOutput): Promise<View> {
  const element = copy('views-view');
  const film = new Film(part(element, '.turntable canvas'), output.frames);
  film.canvas.setAttribute('aria-label', nameOf(output));
  const player = new Player(film, part(element, '.transport'), 'View', VIEWS_A_SECOND);
  const turntable = new Turntable(film, player);
  const pane = part(element, '.object');
  let release = () => {};
  if (output.types.includes('model/gltf-binary')) release = await showCarved(pane, output);
  else pane.remove();
  if (!isMotionReduced()) player.start();
  return {
    element,
    rest: () => turntable.rest(),
    release: () => {
      turntable.rest();
      release();
    },
  };
}

/** The carved object in `pane`, or why it cannot be shown. */
async function showCarved(pane: HTMLElement, output: ViewsOutput): Promise<() => void> {
  const file = await output.toBlob('model/gltf-binary');
  try {
    // Ten times the rest of the page: only for those who look at objects.
    const { showObject } = await import('./object.js');
    return await showObject(part(pane, 'canvas'), await file.arrayBuffer());
  } catch (error) {
    const reason = document.createElement('p');
    reason.textContent = `No 3D view here: ${(error as Error).message.replace(/\.?$/, '.')} The file can be downloaded all the same.`;
    part(pane, '.screen').replaceChildren(reason);
    part(pane, '.hint').remove();
    return () => {};
  }
}
