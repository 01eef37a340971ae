/** What visitors want of things that move by themselves. */
const reduced = matchMedia('(prefers-reduced-motion: reduce)');

/** Whether nothing should move unasked. */
export const isMotionReduced = (): boolean => reduced.matches;
