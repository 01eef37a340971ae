/** A video on a canvas, with what a player has. */
import type { VideoOutput } from 'flagdit';

import { copy, part } from './elements.js';
import { Film } from './film.js';
import { isMotionReduced } from './motion.js';
import { Player } from './player.js';
import { nameOf, type View } from './view.js';

export async function showVideo(output: VideoOutput): Promise<View> {
  const element = copy('video-view');
  const film = new Film(part(element, 'canvas'), output.frames);
  film.canvas.setAttribute('aria-label', nameOf(output));
  const player = new Player(film, part(element, '.transport'), 'Frame', output.fps);
  if (!isMotionReduced()) player.start();
  return { element, rest: () => player.pause(), release: () => player.pause() };
}
