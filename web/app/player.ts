/** Plays a film: a button, a slider for the place, and where there are such a choice of speed and of repeating. */
import type { Film } from './film.js';
import { part } from './elements.js';

export class Player {
  /** Frames since the beginning, with the part of one that has passed. */
  private position = 0;
  private last = 0;
  private request = 0;
  private readonly play: HTMLButtonElement;
  private readonly place: HTMLInputElement;
  private readonly speed: HTMLSelectElement | null;
  private readonly repeat: HTMLButtonElement | null;

  /** `noun`: what the slider counts. `fps`: frames a second at normal speed. */
  constructor(
    private readonly film: Film,
    controls: HTMLElement,
    private readonly noun: string,
    private readonly fps: number,
  ) {
    this.play = part(controls, '[data-part=play]');
    this.place = part(controls, '[data-part=place]');
    this.speed = controls.querySelector('[data-part=speed]');
    this.repeat = controls.querySelector('[data-part=repeat]');
    this.place.min = '1';
    this.place.max = String(film.length);
    this.play.addEventListener('click', () => (this.isPlaying ? this.pause() : this.start()));
    this.place.addEventListener('input', () => this.seek(this.place.valueAsNumber - 1));
    this.repeat?.addEventListener('click', () => this.repeat!.setAttribute('aria-pressed', String(!this.isRepeating)));
    this.seek(0);
  }

  get isPlaying(): boolean {
    return this.request !== 0;
  }

  start(): void {
    if (this.isPlaying || this.film.length < 2) return;
    if (!this.isRepeating && this.film.place === this.film.length - 1) this.moveTo(0);
    this.last = performance.now();
    this.request = requestAnimationFrame(this.tick);
    this.play.textContent = 'Pause';
  }

  pause(): void {
    cancelAnimationFrame(this.request);
    this.request = 0;
    this.play.textContent = 'Play';
  }

  /** Stops at a frame. */
  seek(place: number): void {
    this.pause();
    this.moveTo(place);
  }

  /** Where it is, in frames. */
  get at(): number {
    return this.position;
  }

  private get isRepeating(): boolean {
    return this.repeat?.getAttribute('aria-pressed') !== 'false';
  }

  private readonly tick = (now: number): void => {
    const speed = this.speed ? Number(this.speed.value) : 1;
    const next = this.position + (Math.max(now - this.last, 0) / 1000) * this.fps * speed;
    this.last = now;
    if (next >= this.film.length && !this.isRepeating) {
      this.seek(this.film.length - 1);
      return;
    }
    this.moveTo(next);
    this.request = requestAnimationFrame(this.tick);
  };

  private moveTo(position: number): void {
    const { length } = this.film;
    this.position = ((position % length) + length) % length;
    this.film.show(this.position);
    const place = this.film.place + 1;
    this.place.valueAsNumber = place;
    this.place.setAttribute('aria-valuetext', `${this.noun} ${place} of ${length}`);
  }
}
