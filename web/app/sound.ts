/** A sound: a player, its waveform and its spectrogram, with a line where it plays. */
import type { AudioOutput } from 'flagdit';

import { copy, part } from './elements.js';
import { Film } from './film.js';
import { nameOf, type View } from './view.js';
import { drawWaveform } from './waveform.js';

export async function showSound(output: AudioOutput): Promise<View> {
  const element = copy('sound-view');
  const audio = part<HTMLAudioElement>(element, 'audio');
  audio.src = URL.createObjectURL(await output.toBlob('audio/wav'));
  const waveform = part<HTMLCanvasElement>(element, '.waveform');
  waveform.setAttribute('aria-label', nameOf(output));
  const stop = drawWaveform(waveform, output.samples[0]!);
  new Film(part(element, '.spectrogram'), output.frames);
  follow(audio, part(element, '.tracks'), output.samples[0]!.length / output.sampleRate);
  return {
    element,
    rest: () => audio.pause(),
    release: () => {
      audio.pause();
      stop();
      URL.revokeObjectURL(audio.src);
    },
  };
}

/** The line goes where it plays, and it plays where somebody points; the player's own controls do the same with keys. */
function follow(audio: HTMLAudioElement, tracks: HTMLElement, seconds: number): void {
  const mark = () => tracks.style.setProperty('--played', `${(100 * audio.currentTime) / seconds}%`);
  const run = () => {
    mark();
    if (!audio.paused) requestAnimationFrame(run);
  };
  audio.addEventListener('play', run);
  for (const type of ['seeked', 'ended']) audio.addEventListener(type, mark);
  tracks.addEventListener('click', (event) => {
    const { left, width } = tracks.getBoundingClientRect();
    audio.currentTime = ((event.clientX - left) / width) * seconds;
  });
}
