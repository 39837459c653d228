/**
 * Runs a flush once per turn of the event loop, after its events: output collected meanwhile is written together, so that under
 * load batches grow instead of the number of system calls.
 */
export class FlushScheduler {
  readonly #flush: () => number;
  #requested = false;
  #timer: NodeJS.Timeout | null = null;
  /** time at which the timer fires, in ms of the monotonic clock */
  #timerAt = 0;

  /**
   * @param flush returns the delay in ms until it must run again without a request; `0`: after the events that are queued now;
   * `Infinity`: never
   */
  constructor(flush: () => number) {
    this.#flush = flush;
  }

  /** Requests a flush after the events of this turn. Further requests in the same turn cost nothing. */
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
    if (!this.#requested) this.#run(); // otherwise it runs in this turn anyway
  };
}
