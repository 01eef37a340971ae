/** Prompts to begin with, by kind; the first one stands in the form. */
import type { Kind } from 'flagdit';

export const EXAMPLES: Record<Kind, readonly string[]> = {
  image: [
    'a large red star on a blue background',
    'a small green circle in the top left corner on a white background',
    'one yellow cross on the right against purple',
    'a large pink heart on a black background',
    'a white square at the bottom with a blue background',
  ],
  video: [
    'a red star moves right and spins',
    'a small blue square moving to the left on white',
    'a large red ring bounces up and down on a yellow background',
    'a pink cross that blinks',
    'one green heart grows',
  ],
  views: ['a shiny blue cone', 'a matte red cube', 'one green torus', 'a sphere in orange, shiny'],
  audio: ['a low bell, rising', 'a high sine tone', 'a low drum, three beeps', 'a middle square wave, trill', 'falling high noise'],
};

/** Whether nobody typed this. */
export function isExample(prompt: string): boolean {
  return Object.values(EXAMPLES).some((examples) => examples.includes(prompt));
}
