/**
 * Who may be told `connected`: a join waits until every linked sibling has acknowledged the interest in its
 * channel. Interest is numbered in the order of its announcement, and an ack covers all up to its number.
 * A sibling that is suspected to stand still is not waited for; when that is right is said in mesh.ts.
 * Values in, callbacks out; knows no link and no clock.
 */
export class Barrier {
  /** interest that some sibling has not acknowledged, by number, ascending, with the joins that wait for it */
  readonly #waiting = new Map<number, (() => void)[]>();
  /** the highest number that each sibling has acknowledged; also of one whose link is down for the moment */
  readonly #acked = new Map<string, number>();
  /** siblings that are not waited for at the moment */
  readonly #suspected = new Set<string>();

  /** A channel has been announced. Numbers only grow. */
  announced(sequence: number): void {
    if (this.#acked.size > this.#suspected.size) this.#waiting.set(sequence, []);
  }

  /** Calls `done` when all siblings know the interest, at once if they do. */
  wait(sequence: number, done: () => void): void {
    const waiting = this.#waiting.get(sequence);
    if (waiting) waiting.push(done);
    else done();
  }

  /** From now on joins wait for this sibling too. Nothing changes for one that is waited for already. */
  require(sibling: string): void {
    if (!this.#acked.has(sibling)) this.#acked.set(sibling, 0);
  }

  ack(sibling: string, sequence: number): void {
    const before = this.#acked.get(sibling);
    if (before === undefined || sequence <= before) return;
    this.#acked.set(sibling, sequence);
    this.#release();
  }

  /** Joins do not wait for the sibling until it is trusted again. */
  suspect(sibling: string): void {
    if (!this.#acked.has(sibling)) return;
    this.#suspected.add(sibling);
    this.#release();
  }

  /** Joins of channels that are announced from now on wait for the sibling again. */
  trust(sibling: string): void {
    this.#suspected.delete(sibling);
  }

  /** The sibling is gone for good: nobody waits for it any more. */
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
