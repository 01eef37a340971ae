/** What every kind makes of its output. */
import type { Output } from 'flagdit';

export interface View {
  element: HTMLElement;
  /** Stops what plays, because it is hidden. */
  rest(): void;
  /** Lets go of everything, because something else follows. */
  release(): void;
}

/** What the output is called where it cannot be seen. */
export function nameOf({ settings: { prompt, seed } }: Output): string {
  return `${prompt} (seed ${seed})`;
}
