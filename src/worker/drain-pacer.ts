/**
 * How many connections a draining worker closes in each slice of time: evenly over the spread, so that those who
 * come back do not come together. Numbers in, numbers out; the time is an argument, in milliseconds.
 */

/** from one slice to the next */
export const sliceMs = 100;
/** what a worker that was held up may take beyond the spread, before all that are left are closed at once */
export const graceMs = 2_000;

export class DrainPacer {
  readonly #spreadMs: number;
  readonly #startedAt: number;
  #total: number;
  #closed = 0;

  constructor(total: number, spreadMs: number, now: number) {
    this.#total = total;
    this.#spreadMs = spreadMs;
    this.#startedAt = now;
  }

  /** Connections that came after the plan was made. */
  add(count: number): void {
    this.#total += count;
  }

  /** How many are to be closed now. A slice that comes late catches up, with at most twice the even share. */
  due(now: number): number {
    const left = this.#total - this.#closed;
    const elapsed = now - this.#startedAt;
    if (elapsed >= this.#spreadMs + graceMs || this.#spreadMs <= sliceMs) return left;
    const share = (this.#total * sliceMs) / this.#spreadMs;
    const target = Math.min(this.#total, Math.ceil((this.#total * (elapsed + sliceMs)) / this.#spreadMs));
    return Math.max(0, Math.min(target - this.#closed, Math.max(1, Math.floor(2 * share))));
  }

  /** So many of those that were due have been closed. */
  closed(count: number): void {
    this.#closed += count;
  }
}
