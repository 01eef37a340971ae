/** Words for what happens. */
import { elements } from './elements.js';

/** The least time between two numbers in the status line, which screen readers read out. */
const COUNT_EVERY_MS = 1000;
let told = 0;

export const tell = {
  status(text: string): void {
    elements.status.textContent = text;
    told = performance.now();
  },
  /** What changes many times a second; not more often than somebody can listen to. */
  count(text: string): void {
    if (performance.now() - told > COUNT_EVERY_MS || !/\d/.test(elements.status.textContent)) tell.status(text);
  },
  warning(text: string): void {
    elements.error.textContent = text;
    elements.error.hidden = false;
  },
  error(text: string): void {
    tell.status('');
    tell.warning(text);
  },
  device(text: string): void {
    elements.device.textContent = text;
  },
  progress(done: number, all: number): void {
    elements.progress.max = all || 1;
    elements.progress.value = done;
  },
};
