/** The elements of the page that are always there. */
const get = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

export const elements = {
  form: get<HTMLFormElement>('form'),
  kinds: get('kinds'),
  prompt: get<HTMLTextAreaElement>('prompt'),
  negative: get<HTMLInputElement>('negative'),
  width: get<HTMLInputElement>('width'),
  height: get<HTMLInputElement>('height'),
  frames: get<HTMLInputElement>('frames'),
  fps: get<HTMLInputElement>('fps'),
  loop: get<HTMLInputElement>('loop'),
  views: get<HTMLInputElement>('views'),
  seconds: get<HTMLInputElement>('seconds'),
  steps: get<HTMLInputElement>('steps'),
  guidance: get<HTMLInputElement>('guidance'),
  seed: get<HTMLInputElement>('seed'),
  dice: get<HTMLButtonElement>('dice'),
  ideas: get('ideas'),
  presets: get('presets'),
  choice: get<HTMLSelectElement>('choice'),
  generate: get<HTMLButtonElement>('generate'),
  previewScreen: get('preview-screen'),
  preview: get<HTMLCanvasElement>('preview'),
  result: get('result'),
  empty: get('empty'),
  progress: get<HTMLProgressElement>('progress'),
  status: get('status'),
  error: get('error'),
  facts: get('facts'),
  downloads: get('downloads'),
  download: get<HTMLAnchorElement>('download'),
  formats: get('formats'),
  device: get('device'),
};

/** A copy of what a template holds. */
export function copy(template: string): HTMLElement {
  return get<HTMLTemplateElement>(template).content.firstElementChild!.cloneNode(true) as HTMLElement;
}

/** The element in `parent` that the selector finds; the page's own markup has it. */
export function part<T extends HTMLElement>(parent: HTMLElement, selector: string): T {
  return parent.querySelector<T>(selector)!;
}
