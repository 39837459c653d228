/** Delays between attempts at something that keeps failing. */

export interface BackoffBounds {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Returns the delay after this number of failures in a row: doubled each time, up to the bound. */
export function backoffMs(failures: number, { firstMs, maxMs }: BackoffBounds): number {
  return Math.min(maxMs, firstMs * 2 ** failures);
}

/** Takes up to half of a delay off at random, so that processes that failed together do not retry together. */
export function jittered(delayMs: number, random: () => number = Math.random): number {
  return delayMs * (1 - random() / 2);
}
