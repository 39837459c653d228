/**
 * Once per turn of the event loop: what was collected while its events were handled is written out together, so
 * that under load the batches grow and the number of system calls does not.
 */
export class FlushScheduler {
  readonly #flush: () => number;
  #requested = false;
  #timer: NodeJS.Timeout | null = null;
  /** when it fires, in milliseconds of the monotonic clock */
  #timerAt = 0;

  /**
   * @param flush returns after how many milliseconds it wants to be called without a request; 0: behind the events
   * that are waiting now, Infinity: never
   */
  constructor(flush: () => number) {
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
    const wait = this.#flush();
    if (wait === Infinity) return;
    if (wait === 0) {
      this.request();
      return;
    }
    const at = performance.now() + wait;
    if (this.#timer !== null) {
      if (this.#timerAt <= at) return;
      clearTimeout(this.#timer);
    }
    this.#timerAt = at;
    this.#timer = setTimeout(this.#onTimer, Math.ceil(wait));
  };

  readonly #onTimer = (): void => {
    this.#timer = null;
    if (!this.#requested) this.#run(); // else it comes in this turn anyway
  };
}
