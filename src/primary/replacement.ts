/**
 * Successors for some or all slots: they take over together once every one of them is ready, or not at all. While
 * they start the present workers serve on.
 */
import type { WorkerProcess } from './worker-process.ts';

export class Replacement {
  readonly candidates: readonly WorkerProcess[];
  /** null: all are ready; else why not, in a sentence */
  readonly outcome: Promise<string | null>;
  #decide: (fault: string | null) => void = () => undefined;

  constructor(candidates: readonly WorkerProcess[]) {
    this.candidates = candidates;
    this.outcome = new Promise((resolve) => (this.#decide = resolve));
  }

  /** One of the candidates has become ready. */
  check(): void {
    if (this.candidates.every(({ state }) => state === 'ready')) this.#decide(null);
  }

  /** They will not take over. Nothing changes once it is decided. */
  fail(fault: string): void {
    this.#decide(fault);
  }
}
