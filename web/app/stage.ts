/** Where outputs appear: nothing yet, a preview, or what was made. */
import type { Output } from 'flagdit';

import { offer } from './downloads.js';
import { elements } from './elements.js';
import { showImage } from './image.js';
import { preview } from './preview.js';
import { showSound } from './sound.js';
import { showVideo } from './video.js';
import type { View } from './view.js';
import { showViews } from './views.js';

let current: View | undefined;

export const stage = {
  busy(isBusy: boolean): void {
    const { generate, progress, error, facts } = elements;
    generate.textContent = isBusy ? 'Cancel' : 'Generate';
    generate.classList.toggle('cancel', isBusy);
    progress.value = 0;
    if (isBusy) {
      error.hidden = true;
      facts.textContent = '';
    } else {
      // What was there before a preview comes back.
      preview.stop();
      reveal(current ? elements.result : elements.empty);
    }
  },

  preview(frames: ImageBitmap[]): void {
    current?.rest();
    reveal(elements.previewScreen);
    preview.show(frames);
  },

  async result(output: Output): Promise<void> {
    const [next] = await Promise.all([show(output), offer(output)]);
    current?.release();
    current = next;
    elements.result.replaceChildren(next.element);
    reveal(elements.result);
  },
};

function show(output: Output): Promise<View> {
  switch (output.kind) {
    case 'image':
      return showImage(output);
    case 'video':
      return showVideo(output);
    case 'views':
      return showViews(output);
    case 'audio':
      return showSound(output);
  }
}

function reveal(element: HTMLElement): void {
  const { previewScreen, result, empty, downloads } = elements;
  for (const one of [previewScreen, result, empty]) one.hidden = one !== element;
  downloads.hidden = element !== result;
}
