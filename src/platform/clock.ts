/**
 * Seconds of the machine's monotonic clock, which is the same for all processes of the host: times of different workers can be
 * compared. A plain number, because `process.hrtime.bigint()` allocates an object for each message.
 */

/** Start of the process on that clock, from which `performance.now()` counts (uv_hrtime). */
export const processStart = startOfProcess();

export function now(): number {
  return performance.now() / 1000 + processStart;
}

/** The time between the two readings only adds to the result: the minimum of a few tries is the most precise. */
function startOfProcess(): number {
  let least = Infinity;
  for (let i = 0; i < 5; i++) {
    const since = performance.now() / 1000;
    least = Math.min(least, Number(process.hrtime.bigint()) / 1e9 - since);
  }
  return least;
}

/** Added to `now()` of any process of this host gives Unix time, as this process has it. */
export const unixOffset = performance.timeOrigin / 1000 - processStart;
