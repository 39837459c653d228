/** Delay before a dead worker is restarted: exponential backoff, reset after a healthy period. */
import { backoffMs } from '../platform/backoff.ts';

const restart = { firstMs: 100, maxMs: 10_000 };
/** Time after which a ready worker counts as healthy. */
export const healthyMs = 30_000;
/** The hub gives up when every slot has this many consecutive failed starts. */
const maxFailedStarts = 5;

/** The history of one slot. Times are in ms of a monotonic clock. */
export class RestartPolicy {
  #deaths = 0;
  /** consecutive starts in which the worker never accepted clients */
  failedStarts = 0;
  #readySince: number | null = null;

  /** Called when the slot's worker accepts clients. */
  ready(now: number): void {
    this.failedStarts = 0;
    this.#readySince = now;
  }

  /** Called when the slot's worker has died. @returns the delay before the next start, in ms */
  died(now: number): number {
    if (this.#readySince === null) this.failedStarts += 1;
    else if (now - this.#readySince >= healthyMs) this.#deaths = 0;
    this.#readySince = null;
    const delay = backoffMs(this.#deaths, restart);
    this.#deaths += 1;
    return delay;
  }

  get hopeless(): boolean {
    return this.failedStarts >= maxFailedStarts;
  }
}
