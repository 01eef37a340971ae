/** What the output would be if sampling stopped now. */
import { elements } from './elements.js';
import { Film } from './film.js';
import { isMotionReduced } from './motion.js';

const FRAME_MS = 125;

let timer: ReturnType<typeof setInterval> | undefined;
let shown: ImageBitmap[] = [];
let film: Film | undefined;

export const preview = {
  /** Shows the frames, one after the other, in place of those before. */
  show(frames: ImageBitmap[]): void {
    const place = film?.place ?? 0;
    preview.stop();
    shown = frames;
    const next = new Film(elements.preview, frames);
    next.show(place);
    if (frames.length > 1 && !isMotionReduced()) timer = setInterval(() => next.show(next.place + 1), FRAME_MS);
    film = next;
  },

  stop(): void {
    clearInterval(timer);
    for (const frame of shown) frame.close();
    shown = [];
    film = undefined;
  },
};
