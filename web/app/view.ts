/** The elements of the page, and everything that changes them. */
import { RequestError, type ManifestHead, type Settings } from 'flagdit';

const get = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

export const elements = {
  form: get<HTMLFormElement>('form'),
  prompt: get<HTMLTextAreaElement>('prompt'),
  negative: get<HTMLInputElement>('negative'),
  width: get<HTMLInputElement>('width'),
  height: get<HTMLInputElement>('height'),
  steps: get<HTMLInputElement>('steps'),
  guidance: get<HTMLInputElement>('guidance'),
  seed: get<HTMLInputElement>('seed'),
  dice: get<HTMLButtonElement>('dice'),
  ideas: get('ideas'),
  presets: get('presets'),
  generate: get<HTMLButtonElement>('generate'),
  preview: get<HTMLCanvasElement>('preview'),
  result: get<HTMLImageElement>('result'),
  empty: get('empty'),
  progress: get<HTMLProgressElement>('progress'),
  status: get('status'),
  error: get('error'),
  facts: get('facts'),
  download: get<HTMLAnchorElement>('download'),
  device: get('device'),
  choice: get<HTMLSelectElement>('choice'),
};

const IDEAS = [
  'a small green circle in the top left corner on a white background',
  'one yellow cross on the right against purple',
  'a large pink heart on a black background',
  'a white square at the bottom with a blue background',
];

/** The least time between two numbers in the status line, which screen readers read out. */
const COUNT_EVERY_MS = 1000;
let told = 0;

/** Words for what happens. */
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

/** Pictures and states. */
export const show = {
  busy(isBusy: boolean): void {
    const { generate, progress, error } = elements;
    generate.textContent = isBusy ? 'Cancel' : 'Generate';
    generate.classList.toggle('cancel', isBusy);
    progress.value = 0;
    if (isBusy) {
      error.hidden = true;
      elements.facts.textContent = '';
    } else {
      // What was there before a preview comes back.
      const { preview, result, empty, download } = elements;
      const hasResult = result.hasAttribute('src');
      preview.hidden = true;
      result.hidden = download.hidden = !hasResult;
      empty.hidden = hasResult;
    }
  },

  preview(image: ImageBitmap): void {
    const { preview, result, empty } = elements;
    [preview.width, preview.height] = [image.width, image.height];
    preview.getContext('bitmaprenderer')!.transferFromImageBitmap(image);
    preview.hidden = false;
    result.hidden = empty.hidden = true;
    elements.download.hidden = true;
  },

  async result(url: string, { prompt, seed }: Settings): Promise<void> {
    const { result, preview, empty, download } = elements;
    result.src = url;
    result.alt = `${prompt} (seed ${seed})`;
    await result.decode();
    result.hidden = download.hidden = false;
    preview.hidden = empty.hidden = true;
    download.href = url;
    download.download = `flagdit-${seed}.png`;
  },

  /** What the form asks for. */
  request() {
    const { prompt, negative, width, height, steps, guidance, seed } = elements;
    // What is left empty is for the model to choose.
    const number = (input: HTMLInputElement) => {
      if (input.validity.badInput) throw new RequestError('bad-request', `${input.id}: expected a number`);
      return Number.isNaN(input.valueAsNumber) ? undefined : input.valueAsNumber;
    };
    return {
      prompt: prompt.value,
      negativePrompt: negative.value,
      width: number(width),
      height: number(height),
      steps: number(steps),
      guidance: number(guidance),
      seed: number(seed),
    };
  },

  /** The model's own sizes and defaults, where nobody has typed anything. */
  defaults({ sizes, sampling }: ManifestHead): void {
    const [size, defaults] = [sizes.image, sampling.image];
    if (!size || !defaults) return;
    const { width, height, steps, guidance } = elements;
    const [nativeWidth = 0, nativeHeight = 0] = size.native;
    [width, height].forEach((input, side) => {
      input.min = input.step = String(size.multiple);
      input.max = String(size.max[side]);
    });
    steps.value ||= String(defaults.steps);
    guidance.value ||= String(defaults.guidance);
    const fits = (value: number, side: number) => value <= (size.max[side] ?? 0);
    const choices = [
      [nativeWidth, nativeHeight],
      [2 * nativeWidth, nativeHeight],
      [nativeWidth, 2 * nativeHeight],
    ].filter(([w = 0, h = 0]) => fits(w, 0) && fits(h, 1)) as [number, number][];
    elements.presets.replaceChildren(...choices.map(([w, h]) => chip(`${w} × ${h}`, () => resize(w, h))));
    if (width.value || height.value) mark();
    else resize(nativeWidth, nativeHeight);
  },
};

function resize(width: number, height: number): void {
  elements.width.valueAsNumber = width;
  elements.height.valueAsNumber = height;
  mark();
}

/** Marks the preset that the size is. */
function mark(): void {
  const size = `${elements.width.value} × ${elements.height.value}`;
  for (const button of elements.presets.children) button.setAttribute('aria-pressed', String(button.textContent === size));
}

function chip(text: string, onClick: () => void): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = text;
  button.addEventListener('click', onClick);
  return button;
}

/** What the user can do. */
export function actions(on: { generate: () => void; cancel: () => void; changeDevice: () => void }): void {
  const { form, prompt, seed, dice, ideas, width, height, choice } = elements;
  const { generate, cancel, changeDevice } = on;
  const isBusy = () => elements.generate.classList.contains('cancel');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (isBusy()) cancel();
    else generate();
  });
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && isBusy()) cancel();
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !isBusy()) form.requestSubmit();
  });
  choice.addEventListener('change', changeDevice);
  dice.addEventListener('click', () => {
    // A number that people can read to each other; larger ones can be typed.
    seed.valueAsNumber = Math.floor(Math.random() * 1e6);
  });
  ideas.replaceChildren(...IDEAS.map((idea) => chip(idea, () => (prompt.value = idea))));
  for (const input of [width, height]) input.addEventListener('input', mark);
  // A link that looks and is announced as a button answers to its key.
  elements.download.addEventListener('keydown', (event) => {
    if (event.key !== ' ') return;
    event.preventDefault();
    elements.download.click();
  });
}
