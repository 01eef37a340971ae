/** The form: what is asked for. */
import { RequestError, type Kind, type ManifestHead, type Request, type Sizes } from 'flagdit';

import { elements } from './elements.js';
import { EXAMPLES, isExample } from './examples.js';

/** Fields that have values of their own for every kind. */
const FIELDS = ['width', 'height', 'frames', 'fps', 'views', 'seconds', 'steps', 'guidance'] as const;

/** What stood in them when another kind was chosen. */
const drafts = new Map<Kind, string[]>();
let kind: Kind = 'image';
let manifest: ManifestHead | undefined;

const radios = [...elements.kinds.querySelectorAll('input')];

export const form = {
  get kind(): Kind {
    return kind;
  },

  /** What the form asks for. What is left empty is for the model to choose. */
  request(): Request {
    const { prompt, negative, seed, loop } = elements;
    const numbers = [...FIELDS.map((name) => elements[name]), seed].filter((input) => !input.closest('[hidden]'));
    return {
      kind,
      prompt: prompt.value,
      negativePrompt: negative.value,
      ...Object.fromEntries(numbers.map((input) => [input.id, number(input)])),
      ...(kind === 'video' && { loop: loop.checked }),
    };
  },

  /** The model's kinds, sizes and defaults. */
  adapt(head: ManifestHead): void {
    manifest = head;
    for (const radio of radios) {
      radio.disabled = !head.modalities.includes(radio.value);
      radio.parentElement!.title = radio.disabled ? `${head.name} makes no such thing` : '';
    }
    if (!head.modalities.includes(kind)) choose(radios.find((radio) => !radio.disabled)?.value as Kind | undefined);
    fill();
  },

  /** Lets the user change it. */
  listen(): void {
    const { seed, dice, width, height } = elements;
    for (const radio of radios) radio.addEventListener('change', () => choose(radio.value as Kind));
    dice.addEventListener('click', () => {
      // A number that people can read to each other; larger ones can be typed.
      seed.valueAsNumber = Math.floor(Math.random() * 1e6);
    });
    for (const input of [width, height]) input.addEventListener('input', mark);
    suggest();
  },
};

function number(input: HTMLInputElement): number | undefined {
  if (input.validity.badInput) throw new RequestError('bad-request', `${input.id}: expected a number`);
  return Number.isNaN(input.valueAsNumber) ? undefined : input.valueAsNumber;
}

/** Shows the fields of a kind, with what stood in them before. */
function choose(next?: Kind): void {
  if (!next) return;
  drafts.set(kind, FIELDS.map((name) => elements[name].value));
  kind = next;
  for (const radio of radios) radio.checked = radio.value === kind;
  for (const row of document.querySelectorAll<HTMLElement>('[data-kinds]')) {
    row.hidden = !row.dataset.kinds!.split(' ').includes(kind);
  }
  FIELDS.forEach((name, place) => (elements[name].value = drafts.get(kind)?.[place] ?? ''));
  if (isExample(elements.prompt.value)) elements.prompt.value = EXAMPLES[kind][0]!;
  suggest();
  fill();
}

function suggest(): void {
  const others = EXAMPLES[kind].slice(1);
  elements.ideas.replaceChildren(...others.map((idea) => chip(idea, () => (elements.prompt.value = idea))));
}

/** The model's own values where nobody has typed anything. */
function fill(): void {
  const [sizes, sampling] = [manifest?.sizes[kind], manifest?.sampling[kind]];
  if (!sizes || !sampling) return;
  const { frames, fps, views, seconds, steps, guidance } = elements;
  steps.value ||= String(sampling.steps);
  guidance.value ||= String(sampling.guidance);
  if (kind === 'audio') {
    const mel = manifest?.components?.decoders?.audio?.config;
    if (!mel) return;
    const length = ([spectra = 0]: number[]) => (spectra * mel.hop) / mel.sample_rate;
    seconds.max = String(length(sizes.max));
    // Rounded down: a whole number of seconds is easier to read than a whole number of spectra.
    seconds.value ||= String(Math.floor(length(sizes.native) * 10) / 10);
    return;
  }
  if (sizes.frames) {
    const input = kind === 'video' ? frames : views;
    input.max = String(sizes.frames.max);
    input.value ||= String(sizes.frames.native);
    fps.value ||= String(sizes.frames.fps ?? 8);
  }
  fillSize(sizes);
}

function fillSize({ native, multiple, max }: Sizes): void {
  const { width, height, presets } = elements;
  const [nativeWidth = 0, nativeHeight = 0] = native;
  [width, height].forEach((input, side) => {
    input.min = input.step = String(multiple);
    input.max = String(max[side]);
  });
  const fits = (value: number, side: number) => value <= (max[side] ?? 0);
  const choices = [
    [nativeWidth, nativeHeight],
    [2 * nativeWidth, nativeHeight],
    [nativeWidth, 2 * nativeHeight],
  ].filter(([w = 0, h = 0]) => fits(w, 0) && fits(h, 1)) as [number, number][];
  presets.replaceChildren(...choices.map(([w, h]) => chip(`${w} × ${h}`, () => resize(w, h))));
  if (width.value || height.value) mark();
  else resize(nativeWidth, nativeHeight);
}

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
