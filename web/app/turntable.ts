/** Views around an object that follow the pointer and the arrow keys, as if it stood on a turntable. */
import { Film } from './film.js';
import { isMotionReduced } from './motion.js';
import type { Player } from './player.js';

/** In which a thrown turntable loses most of its speed. */
const SLOWING_MS = 350;
/** Views a millisecond; what is slower stands still. */
const SLOWEST = 0.0015;

export class Turntable {
  private pointer?: { x: number; time: number };
  /** Views a millisecond. */
  private velocity = 0;
  private request = 0;

  constructor(
    private readonly film: Film,
    private readonly player: Player,
  ) {
    const { canvas } = film;
    canvas.addEventListener('pointerdown', (event) => this.grasp(event));
    canvas.addEventListener('pointermove', (event) => this.drag(event));
    for (const type of ['pointerup', 'pointercancel'] as const) canvas.addEventListener(type, (event) => this.letGo(event));
    canvas.addEventListener('keydown', (event) => this.key(event));
  }

  /** Stops turning. */
  rest(): void {
    cancelAnimationFrame(this.request);
    this.player.pause();
  }

  private grasp({ pointerId, clientX: x, timeStamp: time }: PointerEvent): void {
    this.rest();
    this.film.canvas.setPointerCapture(pointerId);
    this.pointer = { x, time };
    this.velocity = 0;
  }

  private drag({ clientX: x, timeStamp: time }: PointerEvent): void {
    if (!this.pointer) return;
    // The front follows the pointer: to the right are the views from further left. The whole width is one turn.
    const views = (-(x - this.pointer.x) / this.film.canvas.clientWidth) * this.film.length;
    this.velocity = views / Math.max(time - this.pointer.time, 1);
    this.pointer = { x, time };
    this.player.seek(this.player.at + views);
  }

  private letGo({ timeStamp }: PointerEvent): void {
    if (!this.pointer) return;
    // Who holds still before letting go throws nothing.
    const isThrown = timeStamp - this.pointer.time < 60 && !isMotionReduced();
    this.pointer = undefined;
    if (isThrown) this.coast(performance.now());
  }

  private coast(last: number): void {
    this.request = requestAnimationFrame((now) => {
      const passed = Math.max(now - last, 0);
      this.player.seek(this.player.at + this.velocity * passed);
      this.velocity *= Math.exp(-passed / SLOWING_MS);
      if (Math.abs(this.velocity) > SLOWEST) this.coast(now);
    });
  }

  private key(event: KeyboardEvent): void {
    const places: Record<string, number> = {
      ArrowRight: this.film.place + 1,
      ArrowLeft: this.film.place - 1,
      Home: 0,
      End: this.film.length - 1,
    };
    const place = places[event.key];
    if (place === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.rest();
    this.player.seek(place);
  }
}
