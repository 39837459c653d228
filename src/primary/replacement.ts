/**
 * The successors of some or all workers. They take over together once all of them are ready, or not at all. The current
 * workers serve meanwhile.
 */
import type { WorkerProcess } from './worker-process.ts';

export class Replacement {
  readonly candidates: readonly WorkerProcess[];
  /** null: all are ready; otherwise the reason of the failure */
  readonly outcome: Promise<string | null>;
  #decide: (fault: string | null) => void = () => undefined;

  constructor(candidates: readonly WorkerProcess[]) {
    this.candidates = candidates;
    this.outcome = new Promise((resolve) => (this.#decide = resolve));
  }

  /** Called when a candidate has become ready. */
  check(): void {
    if (this.candidates.every(({ state }) => state === 'ready')) this.#decide(null);
  }

  /** Cancels the replacement, unless it is decided already. */
  fail(fault: string): void {
    this.#decide(fault);
  }
}
