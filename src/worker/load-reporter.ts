/**
 * Says how many clients are here: now and then, and at once when many have come since it last did, so that the next
 * can be sent elsewhere (primary/evenness.ts).
 */

/** so many more, or this share of those who were there, is many */
const minMany = 4;
const manyShare = 0.02;
/** and yet not more often than this, in milliseconds */
const soonMs = 50;

export class LoadReporter {
  readonly #count: () => number;
  readonly #tell: (count: number, soon: boolean) => void;
  #told = 0;
  #toldAt = 0;

  /**
   * @param count clients that are here, those half way in too
   * @param tell `soon`: it matters at once
   */
  constructor(count: () => number, tell: (count: number, soon: boolean) => void) {
    this.#count = count;
    this.#tell = tell;
  }

  /** To be called now and then. */
  tick(): void {
    const count = this.#count();
    if (count !== this.#told) this.#say(count, false);
  }

  /** A client has come. */
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
