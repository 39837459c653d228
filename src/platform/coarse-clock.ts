/**
 * The one timer behind all that is checked now and then, and the time it leaves behind: a limit that is looked at
 * for every message reads a number instead of the clock. The number is never ahead, and behind by a tick at most
 * (more only while the event loop stands still, and then nothing is read either).
 */

/** milliseconds between two ticks */
export const tickMs = 100;

export class CoarseClock {
  /** whole milliseconds of the monotonic clock, as of the last tick */
  now = Math.floor(performance.now());
  #timer: NodeJS.Timeout | undefined;

  /** @param onTick called after each tick with the new time */
  start(onTick: (now: number) => void): void {
    this.#timer = setInterval(() => {
      onTick(this.refresh());
    }, tickMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Reads the real clock, where a tick is too coarse. */
  refresh(): number {
    this.now = Math.floor(performance.now());
    return this.now;
  }
}
