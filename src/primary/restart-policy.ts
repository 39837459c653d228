/** When a dead worker comes back: soon, then ever later while it keeps dying, at once again after a healthy time. */

export const firstDelayMs = 100;
export const maxDelayMs = 10_000;
/** a worker that was ready for this long counts as healthy */
export const healthyMs = 30_000;
/** with so many failed starts in a row in every slot, the hub gives up */
export const maxFailedStarts = 5;

/** How one slot has fared; times in milliseconds of a monotonic clock. */
export class RestartPolicy {
  #deaths = 0;
  /** starts in a row after which the worker accepted no clients */
  failedStarts = 0;
  #readySince: number | null = null;

  /** The slot's worker accepts clients. */
  ready(now: number): void {
    this.failedStarts = 0;
    this.#readySince = now;
  }

  /** The slot's worker has died. @returns how long to wait before the next start, in milliseconds */
  died(now: number): number {
    if (this.#readySince === null) this.failedStarts += 1;
    else if (now - this.#readySince >= healthyMs) this.#deaths = 0;
    this.#readySince = null;
    const delay = Math.min(maxDelayMs, firstDelayMs * 2 ** this.#deaths);
    this.#deaths += 1;
    return delay;
  }

  get hopeless(): boolean {
    return this.failedStarts >= maxFailedStarts;
  }
}
