/**
 * The barrier before `connected`: a join waits until every linked sibling has acknowledged the interest in its
 * channel. Interest is numbered in the order of its announcement. An ack covers all interest up to its number. Joins
 * do not wait for a sibling that is suspected to be blocked; mesh.ts explains why this is safe. Knows no link and no
 * clock.
 */
export class Barrier {
  /** interest that at least one sibling has not acknowledged: number, ascending, and the joins that wait for it */
  readonly #waiting = new Map<number, (() => void)[]>();
  /** the highest number that each sibling has acknowledged; a sibling keeps its entry while its link is down */
  readonly #acked = new Map<string, number>();
  /** siblings for which joins do not wait at present */
  readonly #suspected = new Set<string>();

  /** Records an announced channel. Numbers only increase. */
  announced(sequence: number): void {
    if (this.#acked.size > this.#suspected.size) this.#waiting.set(sequence, []);
  }

  /** Calls `done` when all siblings have acknowledged the interest, or at once if they already have. */
  wait(sequence: number, done: () => void): void {
    const waiting = this.#waiting.get(sequence);
    if (waiting) waiting.push(done);
    else done();
  }

  /** Makes joins wait for this sibling. Has no effect if they already do. */
  require(sibling: string): void {
    if (!this.#acked.has(sibling)) this.#acked.set(sibling, 0);
  }

  ack(sibling: string, sequence: number): void {
    const before = this.#acked.get(sibling);
    if (before === undefined || sequence <= before) return;
    this.#acked.set(sibling, sequence);
    this.#release();
  }

  /** Makes joins continue without the sibling until it is trusted again. */
  suspect(sibling: string): void {
    if (!this.#acked.has(sibling)) return;
    this.#suspected.add(sibling);
    this.#release();
  }

  /** Makes joins of channels that are announced from now on wait for the sibling again. */
  trust(sibling: string): void {
    this.#suspected.delete(sibling);
  }

  /** Removes a sibling that has ended. */
  forget(sibling: string): void {
    this.#acked.delete(sibling);
    this.#suspected.delete(sibling);
    this.#release();
  }

  #release(): void {
    let reached = Infinity;
    for (const [sibling, sequence] of this.#acked) {
      if (!this.#suspected.has(sibling)) reached = Math.min(reached, sequence);
    }
    for (const [sequence, waiting] of this.#waiting) {
      if (sequence > reached) break;
      this.#waiting.delete(sequence);
      for (const done of waiting) done();
    }
  }
}
