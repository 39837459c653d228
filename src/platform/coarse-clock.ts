/**
 * One timer for all periodic checks, and the time of its last tick: limits that are checked for every message read a number
 * instead of the clock. The number is at most one tick behind, unless the event loop is blocked.
 */

/** Interval of the ticks, in ms. */
const tickMs = 100;

export class CoarseClock {
  /** time of the last tick, in whole ms of the monotonic clock */
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

  /** Reads the clock now, for uses that need more than the precision of a tick. */
  refresh(): number {
    this.now = Math.floor(performance.now());
    return this.now;
  }
}
