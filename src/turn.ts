/**
 * Once per turn of the event loop: what was collected while its events were handled is written out together, so
 * that under load the batches grow and the number of system calls does not.
 */
export class Turn {
  readonly #flush: () => void;
  #requested = false;

  constructor(flush: () => void) {
    this.#flush = flush;
  }

  /** Asks for a flush behind the events of this turn. Asking again in the same turn costs nothing. */
  request(): void {
    if (this.#requested) return;
    this.#requested = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#requested = false;
    this.#flush();
  };
}
