/**
 * Paces the closes of a draining worker evenly over the spread, so that clients do not reconnect together. Free of I/O; the time
 * is an argument, in ms.
 */

/** Interval of the slices. */
export const sliceMs = 100;
/** Time beyond the spread for a delayed worker, after which all remaining connections are closed at once. */
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

  /** Adds connections that were opened after the start. */
  add(count: number): void {
    this.#total += count;
  }

  /** Returns the number of connections to close now. A late slice catches up, by at most twice the even share. */
  due(now: number): number {
    const left = this.#total - this.#closed;
    const elapsed = now - this.#startedAt;
    if (elapsed >= this.#spreadMs + graceMs || this.#spreadMs <= sliceMs) return left;
    const share = (this.#total * sliceMs) / this.#spreadMs;
    const target = Math.min(this.#total, Math.ceil((this.#total * (elapsed + sliceMs)) / this.#spreadMs));
    return Math.max(0, Math.min(target - this.#closed, Math.max(1, Math.floor(2 * share))));
  }

  /** Records the number of closed connections. */
  closed(count: number): void {
    this.#closed += count;
  }
}
