/**
 * Reports the number of clients to the primary: periodically, and at once after many new ones, so that the primary can rebalance
 * (primary/rebalance.ts).
 */

/** Growth that is reported at once: this number of clients, or this share of the last report, whichever is larger. */
const minMany = 4;
const manyShare = 0.02;
/** Minimum interval of immediate reports. */
const soonMs = 50;

export class LoadReporter {
  readonly #count: () => number;
  readonly #tell: (count: number, soon: boolean) => void;
  #told = 0;
  #toldAt = 0;

  /**
   * @param count returns the number of clients, including pending handshakes
   * @param tell sends a report; `soon`: rebalance immediately
   */
  constructor(count: () => number, tell: (count: number, soon: boolean) => void) {
    this.#count = count;
    this.#tell = tell;
  }

  /** Must be called periodically. */
  tick(): void {
    const count = this.#count();
    if (count !== this.#told) this.#say(count, false);
  }

  /** Must be called for each accepted client. */
  accepted(): void {
    const count = this.#count();
    if (count - this.#told < Math.max(minMany, this.#told * manyShare)) return;
    const now = performance.now();
    if (now - this.#toldAt < soonMs) return;
    this.#toldAt = now;
    this.#say(count, true);
  }

  #say(count: number, soon: boolean): void {
    this.#told = count;
    this.#tell(count, soon);
  }
}
