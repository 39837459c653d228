/**
 * Seconds of the machine's monotonic clock: one clock for every process of the host, so that a moment taken in one
 * worker can be compared with one taken in another. A plain number, where `process.hrtime.bigint()` makes a new
 * object for each message.
 */

/** `performance.now()` is this same clock, counted from the start of the process (uv_hrtime). */
export const processStart = startOfProcess();

export function now(): number {
  return performance.now() / 1000 + processStart;
}

/** What lies between the two readings of one try only ever adds to it: the least of a few is nearest. */
function startOfProcess(): number {
  let least = Infinity;
  for (let i = 0; i < 5; i++) {
    const since = performance.now() / 1000;
    least = Math.min(least, Number(process.hrtime.bigint()) / 1e9 - since);
  }
  return least;
}

/** Added to `now()` of this process's host it gives Unix time, as this process has it. */
export const unixOffset = performance.timeOrigin / 1000 - processStart;
