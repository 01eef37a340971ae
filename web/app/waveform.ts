/** A waveform on a canvas, as wide as it is shown and in the page's colour. */

/** Draws it, also anew for another width or colour scheme; what is returned stops that. */
export function drawWaveform(canvas: HTMLCanvasElement, samples: Float32Array): () => void {
  const draw = () => {
    canvas.width = Math.max(Math.round(canvas.clientWidth * devicePixelRatio), 1);
    canvas.height = Math.max(Math.round(canvas.clientHeight * devicePixelRatio), 1);
    const context = canvas.getContext('2d')!;
    context.fillStyle = getComputedStyle(canvas).color;
    const middle = canvas.height / 2;
    for (let x = 0; x < canvas.width; x++) {
      const [low, high] = range(samples, x / canvas.width, (x + 1) / canvas.width);
      // Silence is a line, too.
      context.fillRect(x, middle * (1 - high) - 0.5, 1, middle * (high - low) + 1);
    }
  };
  const sized = new ResizeObserver(draw);
  sized.observe(canvas);
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', draw);
  return () => {
    sized.disconnect();
    scheme.removeEventListener('change', draw);
  };
}

/** The least and the greatest sample between two parts of the whole. */
function range(samples: Float32Array, from: number, to: number): [number, number] {
  const [first, last] = [Math.floor(from * samples.length), Math.ceil(to * samples.length)];
  let [low, high] = [0, 0];
  for (const sample of samples.subarray(first, last)) [low, high] = [Math.min(low, sample), Math.max(high, sample)];
  return [low, high];
}
