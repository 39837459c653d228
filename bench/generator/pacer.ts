// Calls back at an even pace set by the clock, whatever the server does: what falls due while the process was busy
// is made up for at once, and how late that was is recorded.
import { Histogram } from '../histogram.ts';
import { nowUs } from './message.ts';

export class Pacer {
  /** Calls since the process started. */
  made = 0;
  readonly lateness = new Histogram();

  #timer: NodeJS.Timeout | null = null;

  start(perSecond: number, act: (count: number) => void): void {
    const intervalUs = 1e6 / perSecond;
    let dueUs = nowUs();
    this.#timer = setInterval(() => {
      for (let lateUs = nowUs() - dueUs; lateUs >= 0; lateUs = nowUs() - dueUs) {
        this.lateness.record(Math.floor(lateUs));
        act(this.made);
        this.made += 1;
        dueUs += intervalUs;
      }
    }, 1);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }
}
