/** Pictures in a row, one of them on a canvas. */
export class Film {
  private shown = -1;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly frames: readonly (ImageData | ImageBitmap)[],
  ) {
    const [first] = frames;
    if (first) [canvas.width, canvas.height] = [first.width, first.height];
    this.show(0);
  }

  get length(): number {
    return this.frames.length;
  }

  /** The place of the picture that is shown. */
  get place(): number {
    return this.shown;
  }

  /** Shows the picture at `place`; behind the last comes the first. */
  show(place: number): void {
    const inside = ((Math.floor(place) % this.length) + this.length) % this.length;
    const frame = this.frames[inside];
    if (inside === this.shown || !frame) return;
    this.shown = inside;
    const context = this.canvas.getContext('2d')!;
    if (frame instanceof ImageData) context.putImageData(frame, 0, 0);
    else context.drawImage(frame, 0, 0);
  }
}
